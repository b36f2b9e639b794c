"""The Slack side of incidents: a thread per ticket, reconciled with the store; buttons and commands."""
