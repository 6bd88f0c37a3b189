"""`apimon query` as a user runs it, against the embedded server."""

import json
import time

import pytest

from tests.support.loki_http import LokiHttp
from tests.support.processes import APIMON, run_apimon, running

PRODUCT = "/products/{product_id}"


def record(path: str, endpoint: str, status: int, **more: object) -> tuple[dict[str, str], str]:
    level = "error" if status >= 500 else "warning" if status >= 400 else "info"
    labels = {"level": level, "method": "GET", "endpoint": endpoint, "status_code": str(status)}
    fields = {"method": "GET", "path": path, "endpoint": endpoint, "status_code": status, "duration_ms": 1.5, **more}
    return labels, json.dumps(fields)


RECORDS = (
    record("/products", "/products", 200, run_id="run-1"),
    record("/products/1", PRODUCT, 200),
    record("/products/999", PRODUCT, 404, run_id="run-1"),
    record("/boom", "/boom", 500, exception={"type": "ValueError", "message": "no"}),
)


@pytest.fixture
def shop(embedded_loki: str) -> tuple[str, str]:
    """The server's URL and a service that has four requests and a line of another kind, a second apart."""
    service = f"query-{time.time_ns()}"
    now_ns = time.time_ns()
    streams = [
        ({"service": service, **labels}, [[str(now_ns - (5 - number) * 10**9), line]])
        for number, (labels, line) in enumerate(RECORDS)
    ]
    streams.append(({"service": service}, [[str(now_ns - 10**9), "not JSON \x1b[31m"]]))
    assert LokiHttp(embedded_loki).push(streams).status == 204
    return embedded_loki, service


def query(shop: tuple[str, str], *args: str) -> list[str]:
    url, service = shop
    done = run_apimon("query", "--loki", url, "--service", service, *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def paths(lines: list[str]) -> list[str]:
    return [json.loads(line)["path"] for line in lines]


def test_the_newest_line_is_first_and_nothing_drives_the_terminal(shop: tuple[str, str]) -> None:
    lines = query(shop)
    assert len(lines) == 5
    assert lines[0].endswith(r"not JSON \x1b[31m")
    assert lines[1].endswith("error   500 GET    /boom                                1.5ms ValueError: no")
    assert "/products " in lines[4]


@pytest.mark.parametrize(
    ("presets", "expected"),
    [
        (["--status", "4xx,5xx"], ["/boom", "/products/999"]),
        (["--endpoint", PRODUCT], ["/products/999", "/products/1"]),
        (["--endpoint", "/products"], ["/products"]),
        (["--endpoint", "/products/1"], ["/products/1"]),
        (["--endpoint", "/products*"], ["/products/999", "/products/1", "/products"]),
        (["--run", "run-1", "--method", "get"], ["/products/999", "/products"]),
        (["--limit", "1", "--level", "error", "--grep", "boom"], ["/boom"]),
    ],
)
def test_presets_select(shop: tuple[str, str], presets: list[str], expected: list[str]) -> None:
    assert paths(query(shop, "--output", "raw", *presets)) == expected


def test_presets_narrow_a_query_and_leave_no_label_behind(shop: tuple[str, str]) -> None:
    lines = query(shop, '{method="GET"} |= "products"', "--endpoint", "/products", "--output", "jsonl")
    (found,) = [json.loads(line) for line in lines]
    assert set(found) == {"timestamp", "labels", "line"}
    assert found["labels"]["endpoint"] == "/products"
    assert not [name for name in found["labels"] if name.startswith(("apimon", "__"))]


def test_a_metric_is_a_table_and_jsonl(shop: tuple[str, str]) -> None:
    url, service = shop
    metric = f'sum by (status_code) (count_over_time({{service="{service}", method="GET"}}[1h]))'
    table = run_apimon("query", metric, "--since", "1s", "--loki", url)
    assert table.stdout.splitlines()[0].split() == ["TIME", "STATUS_CODE", "VALUE"]
    jsonl = run_apimon("query", metric, "--since", "1s", "--loki", url, "--output", "jsonl")
    samples = [json.loads(line) for line in jsonl.stdout.splitlines()]
    assert {(sample["labels"]["status_code"], sample["value"]) for sample in samples} == {
        ("200", 2), ("404", 1), ("500", 1),
    }  # fmt: skip


def test_limit_zero_reads_everything_past_one_page(embedded_loki: str) -> None:
    service = f"pages-{time.time_ns()}"
    now_ns = time.time_ns()
    # 6,000 entries, more than a page of them on one nanosecond.
    values = [[str(now_ns - max(0, number - 5500) * 1000), f"line {number}"] for number in range(6000)]
    assert LokiHttp(embedded_loki).push([({"service": service}, values)]).status == 204
    done = run_apimon("query", "--loki", embedded_loki, "--service", service, "--limit", "0", "--output", "raw")
    assert sorted(done.stdout.splitlines()) == sorted(f"line {number}" for number in range(6000))


def test_a_closed_pipe_ends_it_quietly(shop: tuple[str, str]) -> None:
    url, service = shop
    pipeline = f"{APIMON[0]} -m apimon query --loki {url} --service {service} | head -1; exit ${{PIPESTATUS[0]}}"
    with running("bash", "-c", pipeline) as process:
        assert process.wait() == 0
        assert process.stderr == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (['{service="a"'], ['{service="a"\n            ^', "line 1, col 13"]),
        (["--status", "4x"], ["--status '4x'"]),
        (["--since", "soon"], ["--since", "'soon'"]),
        (["--since", "0"], ["--since '0'"]),
        (["--output", "xml"], ["--output"]),
        (['rate({a="b"}[1m])', "--level", "error"], ["computes a metric"]),
        (["--grep", ""], ["--grep '' is empty"]),
        ([""], ["QUERY '' is empty"]),
        (['{a="\udcff"}'], ["QUERY", "is not UTF-8 text"]),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(embedded_loki: str, args: list[str], words: list[str]) -> None:
    done = run_apimon("query", "--loki", embedded_loki, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert [word for word in words if word not in done.stderr] == []


def test_a_loki_elsewhere_that_does_not_answer_is_exit_3() -> None:
    done = run_apimon("query", "--loki", "http://user:secret@loki.invalid:3100")
    assert done.returncode == 3
    assert done.stderr.startswith("error: no Loki at http://loki.invalid:3100")
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["--loki", "http://user:hunter2@host/?query"], {}),
        (["--loki", "user:hunter2@host"], {}),
        ([], {"LOKI_URL": "ftp://user:hunter2@host"}),
        ([], {"LOKI_BEARER_TOKEN": "hunter2\n"}),
    ],
)
def test_a_setting_that_is_refused_shows_no_secret_even_in_a_traceback(args: list[str], env: dict[str, str]) -> None:
    done = run_apimon("query", "--debug", *args, env=env)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("args", [["--status", "599"], ['rate({service="nobody"}[1m])']])
def test_an_empty_answer_is_told_on_stderr(embedded_loki: str, args: list[str]) -> None:
    done = run_apimon("query", "--loki", embedded_loki, "--since", "15m", *args)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "apimon: nothing found in the last 15m: --since looks further back\n"
