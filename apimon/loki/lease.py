"""Hold a lease on an embedded server: a plain connection that ends with its process, however that ends.

No event loop and no thread: the kernel does the holding.
"""

import http.client
import json
import socket
from urllib.parse import urlsplit

LEASE_PATH = "/apimon/lease"


class Lease:
    """An open lease."""

    def __init__(self, connection: socket.socket, server_pid: int) -> None:
        self._connection = connection
        self.server_pid = server_pid

    def release(self) -> None:
        """Give it up."""
        self._connection.close()


def open_lease(url: str, timeout_s: float) -> Lease | None:
    """Return a lease on the server at `url`, None where what answers is no embedded server.

    Raises OSError, ValueError or http.client.HTTPException where nothing answers, or what answered is just closing.
    """
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout_s)
    try:
        connection.sendall(f"GET {LEASE_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        if response.status == 200:
            return Lease(connection, int(json.loads(response.readline())["pid"]))
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise http.client.HTTPException("it is closing")
        connection.close()  # another server, whatever it or a proxy before it makes of the path
        return None
    except BaseException:
        connection.close()
        raise
