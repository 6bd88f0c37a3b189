"""Requests to bytes. What is the same for every request of a method and path is built once and kept."""

import itertools
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from apimon import __version__
from apimon.loadtest.target import Target

MAX_KEPT_HEADS = 4096

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CLEAN_PATH = re.compile(r"/[!$-;=?-Z_a-z~\[\]]*")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_RESERVED = frozenset(
    {"content-length", "transfer-encoding", "connection", "expect", "traceparent", "x-request-id", "x-apimon-run"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# An odd factor permutes the 64-bit numbers: ids are unique for a run's counter and still look random, which samplers
# that decide by a trace id's last bits rely on.
_SCRAMBLE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class RequestEncoder:
    """Builds the requests of one run: the run's id, a traceparent (W3C Trace Context) and a request id in each."""

    def __init__(self, target: Target, run_id: str) -> None:
        self._run_id = run_id.encode("ascii")
        self._trace_prefix = os.urandom(8).hex().encode("ascii")
        self._numbers = itertools.count(1)
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._defaults = {
            "Host": target.authority,
            "User-Agent": f"apimon/{__version__}",
            "Accept": "*/*",
            "X-Apimon-Run": run_id,
        }
        if target.authorization:
            self._defaults["Authorization"] = target.authorization

    def encode(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> bytes:
        """Return the whole request. `headers` replace the defaults of the same name, `content_type` is one of those.

        Raises ValueError: a method or header that HTTP doesn't allow, or a path without a slash at its start.
        """
        if headers:
            head = self._build_head(method, path, headers, content_type)
        else:
            head = self._heads.get((method, path, content_type)) or self._keep_head(method, path, content_type)
        number = next(self._numbers)
        scrambled = number * _SCRAMBLE & _MASK
        if body is None:
            length = b"Content-Length: 0\r\n" if method in _WITH_BODY else b""
            return b"%btraceparent: 00-%b%016x-%016x-01\r\nX-Request-Id: %b-%x\r\n%b\r\n" % (
                head, self._trace_prefix, scrambled, scrambled, self._run_id, number, length,
            )  # fmt: skip
        return b"%btraceparent: 00-%b%016x-%016x-01\r\nX-Request-Id: %b-%x\r\nContent-Length: %d\r\n\r\n%b" % (
            head, self._trace_prefix, scrambled, scrambled, self._run_id, number, len(body), body,
        )  # fmt: skip

    def _keep_head(self, method: str, path: str, content_type: str) -> bytes:
        if len(self._heads) >= MAX_KEPT_HEADS:
            # Paths with ids of their own would fill memory; starting over costs less than choosing which to drop.
            self._heads.clear()
        head = self._heads[method, path, content_type] = self._build_head(method, path, {}, content_type)
        return head

    def _build_head(self, method: str, path: str, headers: Mapping[str, str], content_type: str) -> bytes:
        if not _TOKEN.fullmatch(method):
            raise ValueError(f"{method!r} is not an HTTP method")
        own = {name.lower() for name in headers}
        if own & _RESERVED:
            raise ValueError(f"apimon sets these headers itself: {', '.join(sorted(own & _RESERVED))}")
        defaults = {**self._defaults, "Content-Type": content_type} if content_type else self._defaults
        lines = [f"{method} {encode_path(path)} HTTP/1.1"]
        for name, value in [*((n, v) for n, v in defaults.items() if n.lower() not in own), *headers.items()]:
            if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"header {name!r}: {value!r} is not allowed in HTTP")
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, ""]).encode("latin-1")


def encode_path(path: str) -> str:
    """Return the path and query as they go on the wire: percent-encoded UTF-8 where a character may not stand as it is.

    Raises ValueError where it doesn't begin with a slash.
    """
    if _CLEAN_PATH.fullmatch(path):
        return path
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} does not begin with a slash")
    return quote(path.partition("#")[0], safe="/%?&=+:;,@!$'()*~-._[]")
