"""Prices become facts: changes, spikes, alerts, history."""
