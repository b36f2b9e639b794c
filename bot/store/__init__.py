"""Tickets, violations, messages and the audit log, in one database."""
