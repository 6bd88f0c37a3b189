"""The corpus: a few hundred lines over 20 minutes, the same ones for ever, as offsets from a base time.

All choices are arithmetic on the line's number, never a random generator, so that goldens hold on every Python.
"""

import hashlib
import json
from collections.abc import Iterator

from tests.support.loki_http import LokiHttp

SECOND_NS = 1_000_000_000
SPAN_S = 1200

Metadata = dict[str, str]
Line = tuple[int, str, Metadata]
"""Offset from the base in nanoseconds, line, structured metadata."""
CorpusStream = tuple[dict[str, str], list[Line]]

_ROUTES = (
    ("GET", "/products", "/products"),
    ("GET", "/products/{product_id}", "/products/{}"),
    ("POST", "/products/{product_id}/purchase", "/products/{}/purchase"),
    ("GET", "/orders", "/orders"),
)
_STATUSES = (200, 200, 201, 200, 404, 200, 409, 200, 200, 500, 200)


def corpus() -> list[CorpusStream]:
    """Return every stream; a stream's lines are in time order."""
    return [*_shop(), *_worker(), *_plain(), *_json_edges(), *_ties(), *_metadata(), *_values(), *_sparse()]


def digest() -> str:
    """Return what identifies this corpus: goldens of another one must not be compared."""
    return hashlib.sha256(json.dumps(corpus(), sort_keys=True).encode()).hexdigest()[:16]


def base_ns(now_ns: int) -> int:
    """Return the base for a push at `now_ns`: a whole hour, 30 to 90 minutes ago.

    Whole, so that every step that divides an hour aligns alike tomorrow. Not older, because a Loki asks its ingester
    only for the last three hours; not younger, because it refuses what lies ahead.
    """
    hour = 3600 * SECOND_NS
    return (now_ns - hour // 2) // hour * hour


def push_corpus(loki: LokiHttp, base: int) -> None:
    """Store the corpus; one push a stream, so that an error names it."""
    for labels, lines in corpus():
        values = [[str(base + offset), line, *([metadata] if metadata else [])] for offset, line, metadata in lines]
        answer = loki.push([(labels, values)])
        assert answer.status == 204, f"{labels}: {answer}"


def _shop() -> Iterator[CorpusStream]:
    """Request lines as apimon writes them: the labels are repeated in the line."""
    streams: dict[tuple[str, str, int], list[Line]] = {}
    for number in range(240):
        method, endpoint, path = _ROUTES[(number * 7) % len(_ROUTES)]
        status = _STATUSES[(number * 5) % len(_STATUSES)]
        line = json.dumps(_request(number, method, endpoint, path.format(number % 4 + 1), status))
        offset = number * 5 * SECOND_NS + number % 3 * 250_000_000
        streams.setdefault((method, endpoint, status), []).append((offset, line, {}))
    for (method, endpoint, status), lines in streams.items():
        level = "error" if status >= 500 else "warning" if status >= 400 else "info"
        labels = {"app": "shop", "service": "shop", "environment": "test", "level": level, "method": method}
        yield {**labels, "endpoint": endpoint, "status_code": str(status)}, lines


def _request(number: int, method: str, endpoint: str, path: str, status: int) -> dict[str, object]:
    duration = (number * 37 % 500) + number % 10 / 10
    record: dict[str, object] = {
        "message": f"{method} {path} {status} {duration}ms",
        "method": method,
        "path": path,
        "endpoint": endpoint,
        "query": "" if number % 5 else f"page={number // 5}&q=高效能",
        "status_code": status,
        "duration_ms": duration,
        "response_bytes": 80 + number * 13 % 900,
        "client_ip": f"10.0.{number % 3}.{number % 200 + 1}",
        "user_id": "anonymous" if number % 4 else f"user-{number % 12}",
        "request_headers": {"accept": "*/*", "user-agent": "apimon/0.1"},
        "in_flight": number % 7,
        "v": 1,
    }
    if status >= 500:
        record["exception"] = {"type": "RuntimeError", "message": "simulated", "traceback": "line 1\n  line 2"}
    if number % 6 == 0:
        record["aborted"] = True
    return record


def _worker() -> Iterator[CorpusStream]:
    """Logfmt lines, sound and odd."""
    for host in ("a", "b"):
        lines: list[Line] = []
        for number in range(40):
            level = ("info", "debug", "warn", "error")[number % 4]
            line = (
                f'level={level} msg="job {number} done" took={number * 35 % 900}ms size={number * 3 + 1}KB '
                f"attempt={number % 5} host={host} ok={'true' if number % 3 else 'false'}"
            )
            lines.append((number * 30 * SECOND_NS + (7 if host == "b" else 0), line, {}))
        yield {"app": "worker", "host": host, "job": "batch"}, lines
    odd = [
        "a=1 b= c d=\"x y\" e='z'",
        'quoted="he said \\"hi\\"" tail=ok',
        'broken="no end level=info',
        "=nokey a=2",
        "a=1 a=2 b=3",
        "1a=digit a-b=dash a.b=dot ünï=code",
        "no pairs at all",
        "",
        'empty="" spaced = 5',
        "level=info took=1h2m3s size=1.5GiB",
    ]
    yield {"app": "oddfmt"}, [(number * 60 * SECOND_NS, line, {}) for number, line in enumerate(odd)]


def _plain() -> Iterator[CorpusStream]:
    lines = [
        "plain text, nothing else",
        "Error: connection refused (ECONNREFUSED) 127.0.0.1:5432",
        "error in lower case",
        "no error here",
        "unicode: 高效能筆電 – żółw – 🐢",
        "quotes \"double\" 'single' `back`",
        "back\\slash and C:\\path\\file.txt",
        "tab\there and a\rcarriage return",
        "two\nlines in one entry",
        "percent %d %s {{.braces}} {not_json}",
        "regex chars: a.b*c+d?e|f(g)[h]{i}^j$k",
        " leading and trailing spaces ",
        "",
        '192.168.1.10 - - [10/Oct/2000:13:55:36] "GET /index.html HTTP/1.0" 200 2326',
        "level=warn looks like logfmt",
        '{"looks": "like json", "level": "error"}',
        "ERROR upper",
        "WARN: disk at 91%",
        "a" * 300,
        "aXbXc",
    ]
    yield {"app": "plain", "env": "prod"}, [(number * 20 * SECOND_NS, line, {}) for number, line in enumerate(lines)]
    yield {"app": "plain", "env": "dev"}, [(number * 25 * SECOND_NS, line, {}) for number, line in enumerate(lines[:8])]


def _json_edges() -> Iterator[CorpusStream]:
    lines = [
        '{"a":1,"b":"two","c":true,"d":null,"e":[1,2],"f":{"g":"deep","h":{"i":3}}}',
        '{"a":""}',
        '{"a":1}x',
        '{"a":1,}',
        '{"a":1',
        '{"a":"1","a":"2"}',
        '{"1a":"digit","a-b":"dash","a.b":"dot","a b":"space","ü":"umlaut","":"empty"}',
        "[1,2,3]",
        "3",
        '"text"',
        "null",
        "true",
        "word",
        "",
        "{}",
        '{"a":1.0,"b":1e3,"c":-0.5,"d":1E-7,"e":12345678901234567890}',
        '{"a":"line\\nbreak","b":"\\u00e9\\u4e2d","c":"\\ud83d\\udc22","d":"quote\\"s"}',
        '{"app":"clash","level":"warn","nested":{"level":"deep"}}',
        ' {"a": "spaces around" } ',
        '{"a":{"b":{"c":{"d":"four"}}},"a_b":"flat"}',
        '{"arr":[{"x":1},{"x":2}],"obj":{"arr":["p","q"]}}',
        '{"dur":"250ms","size":"10KB","num":"42","neg":-7,"neg_text":"-7","float":"3.25"}',
        '{"a":"x", "b":',
        '{"a":tru}',
        "{'a':'single'}",
        '{"A":"upper","a":"lower"}',
        '{"__error__":"mine","a":"1"}',
    ]
    yield {"app": "json"}, [(number * 30 * SECOND_NS, line, {}) for number, line in enumerate(lines)]


def _ties() -> Iterator[CorpusStream]:
    """Many entries on one nanosecond; exact duplicates count once, beside each other or not."""
    at = 300 * SECOND_NS
    for part in ("x", "y"):
        yield (
            {"app": "ties", "part": part},
            [(at, f"{part} entry {number % 9}", {}) for number in range(12)]
            + [
                (at + 1, "same line", {}),
                (at + 1, "same line", {}),
                (at + 1, "same line", {"k": "v"}),
                (at + 2, "last", {}),
            ],
        )


def _metadata() -> Iterator[CorpusStream]:
    lines: list[Line] = []
    for number in range(30):
        line = json.dumps({"n": number, "trace": f"line-{number}", "pod": "from-line"}) if number % 2 else f"n={number}"
        metadata = {"pod": f"pod-{number % 3}", "region.name": "eu"} if number % 5 else {}
        lines.append((number * 30 * SECOND_NS, line, metadata))
    yield {"app": "meta", "zone": "one"}, lines
    yield (
        {"app": "meta", "zone": "two"},
        [
            (60 * SECOND_NS, "level from metadata", {"detected_level": "fatal"}),
            (120 * SECOND_NS, "plain", {"zone": "clash", "size": "10KB", "took": "1.5s"}),
            (180 * SECOND_NS, "plain", {"1digit": "x", "with-dash": "y"}),
        ],
    )


def _values() -> Iterator[CorpusStream]:
    """Numbers to unwrap: whole, negative, exponents, text, durations, sizes."""
    texts = ("1", "2.5", "-3", "1e2", "0", "0.001", "7", "12", "-0.5", "42")
    for kind in ("p", "q"):
        lines: list[Line] = []
        for number in range(60):
            value = texts[(number * 3 + (kind == "q")) % len(texts)]
            record = {"kind": kind, "val": float(value), "took": f"{number * 17 % 90}ms", "size": f"{number + 1}KB"}
            lines.append((number * 20 * SECOND_NS + (5 * SECOND_NS if kind == "q" else 0), json.dumps(record), {}))
        yield {"app": "values", "kind": kind}, lines
    bad = ["1", "abc", "", "NaN", "+Inf", "-Inf", "0x10", "1_000", " 5", "6 ", "1.5s", "10KB", "9"]
    yield (
        {"app": "badvalues"},
        [
            (number * 30 * SECOND_NS, json.dumps({"v": text} if number % 6 != 5 else {"w": text}), {})
            for number, text in enumerate(bad)
        ],
    )


def _sparse() -> Iterator[CorpusStream]:
    yield {"app": "sparse", "n": "1"}, [(second * SECOND_NS, f"v={second}", {}) for second in (0, 300, 600, 1199)]
    yield {"app": "sparse", "n": "2"}, [(second * SECOND_NS, f"v={second}", {}) for second in (1, 60, 61, 900)]
