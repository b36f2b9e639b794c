"""A distributed rate limiter: several nodes, one Redis, exact sliding windows.

Programs: `compose.ratelimiter.node` (one node), `compose.ratelimiter.load` (its users),
`compose.ratelimiter.batch` (a batch client of the same Redis).
"""
