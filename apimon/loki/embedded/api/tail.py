"""`GET /loki/api/v1/tail`: a websocket that shows history first and then what comes."""
