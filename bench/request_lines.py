"""Request lines for the store's bench: a shop's traffic as apimon records it, about 460 bytes a line."""

import json
from collections.abc import Iterator
from typing import IO

SPAN_S = 3000
_ROUTES = (
    ("GET", "/products", 30),
    ("GET", "/products/{product_id}", 20),
    ("POST", "/products/{product_id}/purchase", 60),
    ("GET", "/orders", 25),
    ("GET", "/orders/stats", 80),
    ("POST", "/simulate-error", 150),
)
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
Values = list[list[str]]


def write_pushes(file: IO[bytes], lines: int, *, end_ns: int, lines_per_push: int = 1000) -> list[int]:
    """Write JSON push bodies one after the other and return their sizes.

    The lines are spread evenly over `SPAN_S` before `end_ns`, in time order; the same number is the same line.
    """
    sizes = []
    step_ns = SPAN_S * 1_000_000_000 // lines
    first_ns = end_ns - lines * step_ns
    for first in range(0, lines, lines_per_push):
        numbers = range(first, min(first + lines_per_push, lines))
        streams = [{"stream": labels, "values": values} for labels, values in _group(numbers, first_ns, step_ns)]
        sizes.append(file.write(json.dumps({"streams": streams}, separators=(",", ":")).encode()))
    return sizes


def _group(numbers: range, first_ns: int, step_ns: int) -> Iterator[tuple[dict[str, str], Values]]:
    streams: dict[tuple[str, str, int], Values] = {}
    for number in numbers:
        method, endpoint, typical_ms = _ROUTES[number * 7 % 11 % len(_ROUTES)]
        status = (
            500 if endpoint == "/simulate-error" else (200, 200, 200, 404, 200, 200, 409, 200, 200, 503)[number % 10]
        )
        line = _line(number, method, endpoint, status, typical_ms * (0.5 + number * 37 % 1000 / 500))
        streams.setdefault((method, endpoint, status), []).append([str(first_ns + number * step_ns), line])
    for (method, endpoint, status), values in streams.items():
        level = "error" if status >= 500 else "warning" if status >= 400 else "info"
        labels = {"service": "shop", "environment": "bench", "level": level, "method": method}
        yield {**labels, "endpoint": endpoint, "status_code": str(status)}, values


def _line(number: int, method: str, endpoint: str, status: int, duration_ms: float) -> str:
    path = endpoint.replace("{product_id}", str(number % 4 + 1))
    record = {
        "message": f"{method} {path} {status} {duration_ms:.1f}ms",
        "method": method,
        "path": path,
        "endpoint": endpoint,
        "status_code": status,
        "duration_ms": round(duration_ms, 2),
        "ttfb_ms": round(duration_ms * 0.9, 2),
        "request_bytes": number % 64,
        "response_bytes": number * 13 % 900 + 80,
        "client_ip": "127.0.0.1",
        "user_agent": _AGENT,
        "user_id": f"user-{number % 97}",
        "request_id": f"{number * 2654435761 % 2**64:016x}",
        "trace_id": f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}",
        "request_headers": {"host": "127.0.0.1:8000", "accept": "*/*"},
        "cpu_percent": number % 100,
        "in_flight": number % 7,
        "v": 1,
    }
    return json.dumps(record, separators=(",", ":"))
