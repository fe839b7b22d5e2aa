"""Alerts: when they fire, what holds them back, and what is kept of them. Plain code on injected time."""
