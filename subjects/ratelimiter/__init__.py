"""The rate limiter cluster: nodes that share their counters through one Redis."""
