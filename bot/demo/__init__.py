"""The demo: a world that can be broken, a local Slack, and operator itself, each a process of its own."""
