"""Loki's HTTP API by the standard library alone, so that what apimon sends and reads is checked by something else."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
"""Whatever JSON holds: tests look into it as they expect it."""
Value = list[Json]
"""One entry as pushed: `["<ns>", line]` or `["<ns>", line, {metadata}]`."""


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    text: str

    def json(self) -> Json:
        return json.loads(self.text)

    def data(self) -> Json:
        """The `data` of a success; fails with Loki's own words otherwise."""
        assert self.status == 200, f"{self.status}: {self.text[:500]}"
        return self.json().get("data", [])


class LokiHttp:
    """A few calls of Loki's API at one base URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, params: Mapping[str, Json] | Sequence[tuple[str, Json]] = ()) -> HttpAnswer:
        query = urllib.parse.urlencode(params)
        return self._send(urllib.request.Request(f"{self.url}{path}?{query}" if query else self.url + path))

    def push(self, streams: Iterable[tuple[Mapping[str, str], Sequence[Value]]]) -> HttpAnswer:
        body = {"streams": [{"stream": dict(labels), "values": list(values)} for labels, values in streams]}
        request = urllib.request.Request(
            self.url + "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return self._send(request)

    def query(self, query: str, **params: Json) -> Json:
        return self.get("/loki/api/v1/query", {"query": query, **params}).data()

    def query_range(self, query: str, **params: Json) -> Json:
        return self.get("/loki/api/v1/query_range", {"query": query, **params}).data()

    def lines(self, query: str, **params: Json) -> list[str]:
        """Every line of a log query, in time order; at most 5,000."""
        data = self.query_range(query, **{"limit": 5000, "direction": "forward", **params})
        entries = [(int(value[0]), value[1]) for stream in data["result"] for value in stream["values"]]
        return [line for _, line in sorted(entries, key=lambda entry: entry[0])]

    def _send(self, request: urllib.request.Request) -> HttpAnswer:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return HttpAnswer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return HttpAnswer(error.code, error.read().decode())
