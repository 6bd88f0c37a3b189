"""The rooms and the directions of import between them, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "apimon"

# importer prefix → the prefixes inside apimon that it may import; the longest matching importer prefix counts.
ALLOWED: dict[str, tuple[str, ...]] = {
    "apimon": ("apimon.loki", "apimon.server.monitoring", "apimon.errors"),
    "apimon.__main__": ("apimon.cli",),
    "apimon.cli": ("apimon", "apimon.commands", "apimon.errors"),
    "apimon.commands": ("apimon",),
    "apimon.config": ("apimon.errors", "apimon.units"),
    "apimon.errors": (),
    "apimon.redaction": (),
    "apimon.units": (),
    "apimon.loadtest": ("apimon.loadtest", "apimon.errors", "apimon.units", "apimon.config"),
    "apimon.loki": ("apimon.loki", "apimon.config", "apimon.errors", "apimon.redaction", "apimon.units"),
    "apimon.loki.model": (),
    "apimon.loki.wire": ("apimon.loki.model", "apimon.loki.wire", "apimon.errors", "apimon.units"),
    "apimon.loki.logql": ("apimon.loki.model", "apimon.loki.logql", "apimon.errors", "apimon.units"),
    "apimon.loki.embedded": (
        "apimon.loki.logql", "apimon.loki.wire", "apimon.loki.model", "apimon.loki.embedded",
        "apimon.config", "apimon.errors", "apimon.units",
    ),
    "apimon.server": ("apimon.server", "apimon.loki", "apimon.config", "apimon.errors", "apimon.units"),
    "apimon.server.shop": ("apimon.server.shop", "apimon.errors", "apimon.units"),
    "apimon.server.monitoring": (
        "apimon.server.monitoring", "apimon.loki.shipper", "apimon.loki.client", "apimon.loki.wire",
        "apimon.loki.model", "apimon.config", "apimon.errors", "apimon.redaction", "apimon.units",
    ),
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = (PACKAGE.parent / (name.replace(".", "/") + ".py")).exists() or (
                    PACKAGE.parent / name.replace(".", "/")
                ).is_dir()
                yield name if is_module else node.module


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: module_name(path))
def test_module_imports_only_what_its_room_may(path: Path) -> None:
    importer = module_name(path)
    rule = max((prefix for prefix in ALLOWED if is_within(importer, prefix)), key=len)
    for name in imported_names(path):
        if is_within(name, "apimon"):
            assert name == "apimon" or any(is_within(name, allowed) for allowed in ALLOWED[rule]), (
                f"{importer} imports {name}; {rule} may import {ALLOWED[rule]}"
            )


def test_nothing_imports_cli_or_commands() -> None:
    for path in PACKAGE.rglob("*.py"):
        importer = module_name(path)
        if is_within(importer, "apimon.commands") or importer in {"apimon.cli", "apimon.__main__"}:
            continue
        assert not [name for name in imported_names(path) if is_within(name, "apimon.commands")], importer


HEAVY = ("aiohttp", "duckdb", "fastapi", "lark", "pydantic_core", "rich", "uvicorn", "orjson", "re2", "psutil")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    # Typer itself loads pydantic-core: what is asked is what apimon adds to a bare Typer program.
    script = "import sys, typer; before = set(sys.modules); import apimon.cli; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & set(HEAVY)
