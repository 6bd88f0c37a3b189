"""What several test folders share: running processes, both Lokis, and Loki's HTTP API without apimon's client."""
