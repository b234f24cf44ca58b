"""Errors of the command line: what is shown, what to do next, and which stay defects."""

import errno
import sys
from pathlib import Path

import pytest

from ioc.app.cli import main as cli
from ioc.app.cli.errors import CommandError, command, expected_in, next_step, show
from ioc.app.run import SimulatorsRefusedError
from ioc.app.web import PortInUseError


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run `ioc …`, expect exit code 1 and return the lines of the message."""
    monkeypatch.setattr(sys, "argv", ["ioc", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    return capsys.readouterr().err.splitlines()


def test_a_message_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(CommandError("expected [longitude, latitude] [/red] :smile: " + "x" * 200, "Do [bold]this[/]."))
    assert capsys.readouterr().err.splitlines() == [
        "error: expected [longitude, latitude] [/red] :smile: " + "x" * 200,
        "Do [bold]this[/].",
    ]


@pytest.mark.parametrize("tail", ["", "/x", "/x/y"])
def test_a_file_in_the_place_of_the_data_folder_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tail: str
) -> None:
    (tmp_path / "F").touch()
    first, second = run(monkeypatch, capsys, "areas", "list", "--data", f"{tmp_path}/F{tail}")
    assert first.startswith(f"error: cannot use the data folder {tmp_path}/F{tail}: ")
    assert "doctor" in second


def test_a_file_system_that_takes_nothing_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = run(monkeypatch, capsys, "users", "list", "--data", "/proc/foo")
    assert first.startswith("error: cannot use the data folder /proc/foo: ")


def test_the_findings_of_an_area_file_are_shown_whole_without_sending_to_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "areas.geojson"
    file.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties":'
        ' {"code": "[/red]", "name": "x"}, "geometry": {"type": "LineString", "coordinates": [[1], [2]]}}]}'
    )
    first, second = run(monkeypatch, capsys, "areas", "import", str(file))
    assert first.startswith("error: feature 0 (code [/red]): coordinates")
    assert "expected [longitude, latitude], found [1]" in first
    assert second == "Nothing was imported: mend the file, then import it again."


def test_a_wrong_flag_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = run(monkeypatch, capsys, "up", "--port", "99999")
    assert first.startswith("error: --port: http.port = 99999")


def test_the_only_cause_of_a_failed_group_is_what_is_shown() -> None:
    cause = PortInUseError("taken")
    assert expected_in(ExceptionGroup("a", [ExceptionGroup("b", [cause])])) == [cause]
    assert expected_in(ExceptionGroup("a", [cause, KeyError("defect")])) is None
    assert expected_in(KeyError("defect")) is None


def test_a_service_that_cannot_listen_says_which_and_what_to_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = OSError(errno.EADDRINUSE, "address in use")
    error.add_note("service mqtt")
    show(error)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: service mqtt: address in use"
    assert "--mqtt-port" in second


def test_every_expected_error_says_what_to_do_next() -> None:
    for error in (PortInUseError(""), FileNotFoundError(""), PermissionError(errno.EACCES, "no", "/x")):
        assert next_step(error).endswith(".")


def test_our_name_is_one_that_the_shell_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("ioc", "python"):
        (folder / name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    assert command() == "ioc"
    monkeypatch.setenv("MAKELEVEL", "1")
    assert command() == ".venv/bin/ioc"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command() == ".venv/bin/ioc"


def test_a_scenario_that_cannot_be_played_is_one_message() -> None:
    ended = ExceptionGroup("base", [ExceptionGroup("intake", [SimulatorsRefusedError("see above")])])
    (error,) = expected_in(ended) or ()
    assert "--scenario" in next_step(error)


def test_a_file_that_is_not_replaced_asks_for_another_name(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "x").touch()
        (tmp_path / "x").touch(exist_ok=False)
    assert next_step(caught.value).startswith("Choose another name")
