"""What the OpenAPI page says is what the shop does, tried by schemathesis over a socket."""

from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import CheckFunction
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from apimon.server.shop import ShopConfig, create_app

# By hand: schemathesis's pytest plugin doesn't follow pytest 9.
SCHEMA = schemathesis.openapi.from_dict(create_app(ShopConfig(Path("unused"))).openapi())
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)}
MODES = schemathesis.GenerationMode
CASES = [
    *((label, MODES.POSITIVE) for label in OPERATIONS),
    *((label, MODES.NEGATIVE) for label in OPERATIONS if "{" in label or label == "GET /orders"),
]


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_the_shop_does_what_its_schema_says(shop_url: str, label: str, mode: schemathesis.GenerationMode) -> None:
    excluded: list[CheckFunction] = [not_a_server_error] if label == "POST /simulate-error" else []

    with requests.Session() as session:

        @settings(max_examples=40, suppress_health_check=list(HealthCheck), phases=[Phase.generate], derandomize=False)
        @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
        def run(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(base_url=shop_url, session=session, excluded_checks=excluded)

        run()


def test_every_operation_is_tried() -> None:
    assert len(OPERATIONS) == 10
