"""The whole thing as its users run it: commands as processes, on the embedded server and on a real Loki."""
