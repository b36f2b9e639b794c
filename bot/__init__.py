"""Mind and mouth: incidents, the store, Slack, web, CLI."""
