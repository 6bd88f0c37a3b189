"""Loki's HTTP API over the store: paths, parameters, statuses, and nothing of LogQL or SQL."""
