from pathlib import Path

import pytest

from apimon.cli import run
from apimon.server import runner
from apimon.server.recording import Say
from apimon.server.runner import ServeConfig


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeConfig]:
    """What would have been served, instead of serving it."""
    configs: list[ServeConfig] = []

    def serve(config: ServeConfig, say: Say) -> None:
        configs.append(config)

    monkeypatch.setattr(runner, "serve", serve)
    return configs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port"),
        (["--port", "-1"], "--port"),
        (["--port", "http"], "--port"),
        (["--workers", "0"], "--workers"),
        (["--host", ""], "--host '' is not valid"),
        (["--seed", "x"], "--seed"),
        (["--delay-scale", "-1"], "--delay-scale -1.0 is not valid: allowed is a number from 0 on"),
        (["--delay-scale", "nan"], "--delay-scale nan is not valid"),
        (["--delay-scale", "inf"], "--delay-scale inf is not valid"),
        (["--stock-failure", "1.01"], "--stock-failure 1.01 is not valid: allowed is a number from 0 to 1"),
        (["--service", ""], "--service '' is not valid"),
        (["--environment", "x" * 3000], "--environment 'xxxx"),
        (["--loki", "nowhere"], "'nowhere' is not an http:// or https:// URL"),
        (["--reload"], "--reload"),
        (["pkg.module:app"], "pkg.module:app"),
    ],
)
def test_a_bad_option_exits_2_with_one_line(
    arguments: list[str], message: str, served: list[ServeConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert served == []


def test_the_defaults_are_the_contract_s(served: list[ServeConfig], tmp_path: Path) -> None:
    assert run(["serve"]) == 0
    (config,) = served
    assert (config.host, config.port, config.workers, config.debug) == ("127.0.0.1", 8000, 1, False)
    assert (config.settings.service_name, config.settings.environment) == ("shop", "development")
    assert config.settings.enabled
    assert (config.shop.seed, config.shop.delay_scale, config.shop.stock_failure) == (None, 1.0, 0.1)
    assert config.shop.db == tmp_path / "home" / "data" / "shop.db"


def test_service_name_of_the_environment_comes_before_the_shop_s(
    served: list[ServeConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_NAME", "fastapi-api")
    run(["serve"])
    assert served[0].settings.service_name == "fastapi-api"


def test_flags_come_before_the_environment(served: list[ServeConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_NAME", "other")
    monkeypatch.setenv("ENVIRONMENT", "other")
    monkeypatch.setenv("LOKI_URL", "http://other:3100")
    run(["serve", "--service", "mine", "--environment", "test", "--loki", "http://loki:1"])
    settings = served[0].settings
    assert (settings.service_name, settings.environment, settings.loki.url) == ("mine", "test", "http://loki:1")


def test_no_loki_is_loki_enabled_false(served: list[ServeConfig]) -> None:
    run(["serve", "--no-loki"])
    assert not served[0].settings.enabled
