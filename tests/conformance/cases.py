"""The cases and their goldens: reads the data files, asks a server, and puts its answer into the form that is compared.

Times in the files are seconds after the corpus' base. An answer keeps everything that Loki promises and nothing else:
streams, series and label names sorted, the order of entries and of sorted vectors as they came, errors by status.
"""

import hashlib
import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.corpus import SECOND_NS, SPAN_S
from tests.support.loki_http import HttpAnswer, Json, LokiHttp

FOLDER = Path(__file__).parent
CASES = FOLDER / "cases"
GOLDENS = FOLDER / "goldens"

_RELATIVE_TOLERANCE = 1e-9
_LONGEST_LINE = 160


@dataclass(frozen=True)
class Case:
    """One request.

    `unsupported`: the embedded server refuses it by name and must not answer otherwise. `differs`: it answers
    something else on purpose, for the reason that its group gives.
    """

    topic: str
    name: str
    path: str
    params: dict[str, Json]
    times: dict[str, float]
    unsupported: bool = False
    differs: bool = False
    keep_order: bool = False

    @property
    def id(self) -> str:
        return f"{self.topic}: {self.name}"

    def ask(self, loki: LokiHttp, base: int) -> Json:
        """Send the request and return the answer in its comparable form."""
        times = {name: base + round(second * SECOND_NS) for name, second in self.times.items()}
        answer = loki.get(self.path, [*_flatten(self.params), *times.items()])
        return normalise(answer, base, keep_order=self.keep_order)


def load_cases() -> list[Case]:
    """Return every case of every file, in their order; names are unique within a file."""
    cases: list[Case] = []
    for path in sorted(CASES.glob("*.toml")):
        for group in tomllib.loads(path.read_text("utf-8"))["group"]:
            cases += _read_group(path.stem, group)
    doubled = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    assert not doubled, f"cases share a name: {doubled}"
    return cases


def load_goldens(topic: str) -> dict[str, Json]:
    """Return a topic's recorded answers by case name, with the corpus' digest under `corpus`."""
    path = GOLDENS / f"{topic}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def save_goldens(topic: str, corpus: str, answers: dict[str, Json]) -> None:
    """Write a topic's answers, a line each, so that a change shows as the lines that changed."""
    rows = [json.dumps(name, ensure_ascii=False) + ": " + json.dumps(answer, ensure_ascii=False, sort_keys=True)
            for name, answer in {"corpus": corpus, **answers}.items()]  # fmt: skip
    GOLDENS.mkdir(exist_ok=True)
    (GOLDENS / f"{topic}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def normalise(answer: HttpAnswer, base: int, *, keep_order: bool = False) -> Json:
    """Return the answer with times relative to `base`, in the one order that is compared."""
    if answer.status != 200:
        return {"status": answer.status, "error": answer.text.strip().partition(" for series")[0][:300]}
    data = answer.json().get("data", [])
    if not isinstance(data, dict) or "resultType" not in data:
        return {"data": sorted(data, key=_canonical)}
    kind = data["resultType"]
    if kind == "scalar":
        # Without its time: 3.7.6 gives one of the 65th century.
        return {"type": kind, "result": data["result"][1]}
    rows = [_row(kind, row, base) for row in data["result"]]
    return {"type": kind, "result": rows if keep_order else sorted(rows, key=_canonical)}


def differences(expected: Json, actual: Json, where: str = "answer") -> list[str]:
    """Return where two normalised answers differ; numbers in text may differ by 1e-9 of their size."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if "error" in expected and "error" in actual:  # the status is compared, the words are each server's own
            return [] if expected["status"] == actual["status"] else [f"status {actual} instead of {expected}"]
        keys = sorted({*expected, *actual})
        return [d for key in keys for d in differences(expected.get(key), actual.get(key), f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for at, (one, other) in pairs for d in differences(one, other, f"{where}[{at}]")]
    return [] if expected == actual or _same_number(expected, actual) else [f"{where}: {actual!r} is not {expected!r}"]


def _read_group(topic: str, group: dict[str, Json]) -> Iterator[Case]:
    """Yield a group's cases: `queries`, `unsupported` ones, `differs`; what else it has goes into each request.

    `at` makes instant queries of them; `path` another endpoint, whose queries are `match[]` selectors where
    `as_match` says so.
    """
    row = dict(group)
    about, unsupported, differs = row.pop("name"), row.pop("unsupported", []), row.pop("differs", [])
    keep_order, as_match = row.pop("keep_order", False), row.pop("as_match", False)
    if "at" in row:
        path, times = "/loki/api/v1/query", {"time": row.pop("at")}
    else:
        path, times = "/loki/api/v1/query_range", {"start": row.pop("start", 0), "end": row.pop("end", SPAN_S)}
    path = row.pop("path", path)
    for query in [*row.pop("queries", []), *unsupported, *differs]:
        yield Case(
            topic=topic,
            name=f"{about}: {query}",
            path=path,
            params={**row, "match[]" if as_match else "query": query},
            times=times,
            unsupported=query in unsupported,
            differs=query in differs,
            keep_order=keep_order,
        )


def _flatten(params: dict[str, Json]) -> Iterable[tuple[str, Json]]:
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, one


def _row(kind: str, row: dict[str, Json], base: int) -> list[Json]:
    if kind == "streams":
        return [row["stream"], [[int(value[0]) - base, _shorten(value[1])] for value in row["values"]]]
    samples: Sequence[Json] = row["values"] if kind == "matrix" else [row["value"]]
    return [row["metric"], [_sample(at, value, base) for at, value in samples]]


def _sample(at: float, value: str, base: int) -> list[Json]:
    # Twelve digits: the last ones depend on the order in which a Loki adds, which differs from run to run.
    return [round(at - base / SECOND_NS, 3), f"{float(value):.12g}" if math.isfinite(float(value)) else value]


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def _shorten(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:60]}… {len(line)} characters, sha256 {hashlib.sha256(line.encode()).hexdigest()[:12]}"


def _same_number(expected: Json, actual: Json) -> bool:
    if not isinstance(expected, str | int | float) or not isinstance(actual, str | int | float):
        return False
    try:
        one, other = float(expected), float(actual)
    except ValueError:
        return False
    return math.isclose(one, other, rel_tol=_RELATIVE_TOLERANCE) or (math.isnan(one) and math.isnan(other))
