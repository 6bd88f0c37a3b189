"""Where reports go: checked first, then whole or not at all."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from apimon.errors import ApimonError, UsageError
from apimon.loadtest.destination import Destination


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    Destination(str(folder / "report.json"), "--json")
    assert list(folder.iterdir()) == []


def test_report_replaces_what_was_there_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    destination = Destination(str(path), "--json")
    assert path.read_text() == "old"
    destination.write("new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_new_report_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    Destination(str(tmp_path / "report.json"), "--json").write("x")
    assert (tmp_path / "report.json").stat().st_mode == other.stat().st_mode


def test_link_is_followed_not_replaced(tmp_path: Path) -> None:
    link, target = tmp_path / "latest.json", tmp_path / "report.json"
    link.symlink_to(target)
    Destination(str(link), "--json").write("x")
    assert link.is_symlink()
    assert target.read_text() == "x"


def test_report_can_go_to_what_is_no_regular_file() -> None:
    Destination(os.devnull, "--json").write("x")


def test_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    destination = Destination("-", "--json")
    destination.write("x")
    assert destination.is_stdout
    assert capsys.readouterr().out == "x"


@pytest.mark.parametrize("name", ["missing/report.json", ".", ""])
def test_place_that_cannot_be_written_is_refused_naming_option_and_value(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"^--json {name}: .*; give a file"):
        Destination(name, "--json")


def test_report_that_cannot_be_written_whole_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    destination = Destination(str(path), "--json")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ApimonError, match=r"cannot write .*: no space left on device"):
        destination.write("new")
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".report.json.*")), tempfile.gettempdir()
