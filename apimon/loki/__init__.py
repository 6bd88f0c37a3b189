"""Everything that talks Loki: the model, the wire, shipping, reading, and the embedded server."""
