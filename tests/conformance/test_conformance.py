"""Every case on the embedded server and on a real Loki, against the goldens that a real Loki gave."""

import json
import time

import pytest

from tests.conformance.cases import Case, differences, load_cases, load_goldens
from tests.conformance.corpus import base_ns, digest, push_corpus
from tests.support.loki_http import Json, LokiHttp

CASES = load_cases()
GOLDENS = {topic: load_goldens(topic) for topic in {case.topic for case in CASES}}

Filled = tuple[LokiHttp, int]
"""A server with the corpus in it, and the corpus' base time."""


def _fill(url: str) -> Filled:
    loki, base = LokiHttp(url), base_ns(time.time_ns())
    push_corpus(loki, base)
    return loki, base


@pytest.fixture(scope="session")
def filled_embedded_loki(embedded_loki: str) -> Filled:
    return _fill(embedded_loki)


@pytest.fixture(scope="session")
def filled_real_loki(real_loki: str) -> Filled:
    return _fill(real_loki)


def _golden(case: Case) -> Json:
    goldens = GOLDENS[case.topic]
    assert goldens.get("corpus") == digest(), "the goldens are of another corpus: record them again"
    assert case.name in goldens, "no golden: record them again"
    return goldens[case.name]


def _assert_same(case: Case, golden: Json, answer: Json) -> None:
    found = differences(golden, answer)
    assert not found, "\n".join([case.params.get("query", case.path), *found[:8], f"golden: {_brief(golden)}"])


def _brief(answer: Json) -> str:
    return json.dumps(answer, ensure_ascii=False)[:600]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_embedded_server_answers_as_recorded(case: Case, filled_embedded_loki: Filled) -> None:
    loki, base = filled_embedded_loki
    answer = case.ask(loki, base)
    if case.unsupported:
        assert answer.get("status") == 400, f"now answered, no longer unsupported: {_brief(answer)}"
        assert "not supported" in answer["error"]
    elif case.differs:
        assert differences(_golden(case), answer), "the same as Loki's now: no longer differs"
    else:
        _assert_same(case, _golden(case), answer)


@pytest.mark.loki
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_real_loki_still_answers_as_recorded(case: Case, filled_real_loki: Filled) -> None:
    loki, base = filled_real_loki
    _assert_same(case, _golden(case), case.ask(loki, base))


def test_every_golden_belongs_to_a_case() -> None:
    for topic, goldens in GOLDENS.items():
        assert set(goldens) == {"corpus"} | {case.name for case in CASES if case.topic == topic}
