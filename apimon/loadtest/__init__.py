"""The load engine: scenarios, pacing, an HTTP/1.1 client, figures and reports."""
