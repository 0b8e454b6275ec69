"""Surfaces: what clients speak to, as adapters of one engine (``http``); none knows another."""

BASE = "/api/v1"  # of the house's own API, and of what stands beside it there
