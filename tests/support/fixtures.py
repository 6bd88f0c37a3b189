"""The fixtures that every test folder may use; tests/conftest.py exports them."""

from collections.abc import Iterator

import pytest

from tests.support.lokis import running_embedded_loki, running_real_loki


@pytest.fixture(scope="session")
def real_loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Loki 3.7.6 that lives as long as the session: keep to a label of your own."""
    with running_real_loki(tmp_path_factory.mktemp("real-loki")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def embedded_loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an `apimon loki` that lives as long as the session: keep to a label of your own."""
    folder = tmp_path_factory.mktemp("embedded-loki")
    # Not the HOME of the first test that asks for it, which ends what was started with it.
    with running_embedded_loki("--data-dir", str(folder), env={"HOME": str(folder)}) as (url, _):
        yield url
