"""See every request your API serves, put it under load, and ask the logs what happened."""

__version__ = "0.1.0"
