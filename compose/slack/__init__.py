"""The local Slack: a stand-in that speaks Slack's Web API and Socket Mode on loopback.

Bolt and the SDKs talk to it unmodified, through their base URL. It keeps Slack's rules where an app can notice
them (errors, scopes, limits, acknowledgements, redelivery), and a page lets a person act as anyone in the
workspace. See README.md for what it has and how it differs from the real one.
"""
