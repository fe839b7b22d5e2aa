"""Dependable price events from market-data connections."""
