"""The embedded server: Loki's HTTP API over a store of its own in DuckDB."""
