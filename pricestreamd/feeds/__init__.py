"""Prices come in: connections, subscriptions, liveness."""
