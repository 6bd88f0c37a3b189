"""How long a person waits: help beside a bare Typer program's, and the embedded server's start and size.

python -m bench.startup
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.timing import Figure, alone_line, medians, ratio_line, timed
from tests.support.lokis import running_embedded_loki

ROUNDS = 9
SERVER_ROUNDS = 3
_BARE_PROGRAM = """\
import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def one(name: str = "world", debug: bool = False) -> None:
    "Do one thing."


@app.command()
def two(name: str = "world", debug: bool = False) -> None:
    "Do another."


app()
"""


def running(*args: str) -> Figure:
    """Return the wall time of a command whose output is dropped."""
    return timed(lambda: subprocess.run(args, stdout=subprocess.DEVNULL, check=True))


def measure_help() -> None:
    """Print the ratios of two helps to the bare program's."""
    apimon = (sys.executable, "-m", "apimon")
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(_BARE_PROGRAM)
        figures = medians(
            {
                "bare": running(sys.executable, str(bare), "--help"),
                "apimon --help": running(*apimon, "--help"),
                "apimon query --help": running(*apimon, "query", "--help"),
            },
            ROUNDS,
        )
    for what in ("apimon --help", "apimon query --help"):
        print(ratio_line(what, figures[what], figures["bare"], peer_name="a bare Typer program's help", unit="s"))


def measure_server() -> None:
    """Print how long `apimon loki` takes to be ready, and its memory when it has had nothing to do for a second."""
    ready, idle = [], []
    for _ in range(SERVER_ROUNDS):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, running_embedded_loki("--data-dir", folder) as (_, process):
            ready.append(time.perf_counter() - started)
            time.sleep(1)
            idle.append(psutil.Process(process.pid).memory_info().rss / 1e6)
    print(alone_line("apimon loki, ready after (median)", sorted(ready)[SERVER_ROUNDS // 2], unit="s"))
    print(alone_line("apimon loki, idle memory (median)", sorted(idle)[SERVER_ROUNDS // 2], unit="MB"))


def main() -> None:
    """Print every figure."""
    measure_help()
    measure_server()


if __name__ == "__main__":
    main()
