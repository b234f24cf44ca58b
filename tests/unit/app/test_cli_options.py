"""Options that several commands share."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
import typer.main

from ioc import __version__
from ioc.app.cli import main as cli
from ioc.app.cli.options import time_option
from ioc.app.demo import simulator_command
from ioc.app.settings import Settings
from simulators.cli.live import target_of
from simulators.cli.options import checked_url


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+07:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_at_the_end_of_the_calendar_is_refused(moment: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a time from 1970 until 2200"):
        time_option(moment, "--at")
    assert time_option("1970-01-01T07:00:00+07:00", "--at") == 0


DOCUMENTS = {"up", "run", "devices export", "rules schema", "shifts report"}
"""Commands that run on, or whose output is a document of its own kind."""


def test_every_command_stands_in_a_group_of_the_help() -> None:
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert [name for name, command in commands.items() if not command.rich_help_panel] == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.app(["--version"])
    assert (ended.value.code, capsys.readouterr().out.strip()) == (0, __version__)


def test_every_command_but_those_that_print_documents_takes_json() -> None:
    def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
        for part, command in group.commands.items():
            whole = f"{name} {part}".strip()
            if hasattr(command, "commands"):
                yield from commands(command, whole)
            else:
                yield whole, command

    found = dict(commands(typer.main.get_command(cli.app)))
    without = {name for name, each in found.items() if not any("--json" in p.opts for p in each.params)}
    assert len(found) > 60
    assert without == DOCUMENTS


def test_the_simulators_are_given_addresses_that_can_be_read() -> None:
    for host, written in (("::1", "[::1]"), ("127.0.0.1", "127.0.0.1"), ("::", "[::]")):
        settings = Settings(http={"host": host, "port": 8123}, mqtt={"host": host, "port": 1884})
        command = simulator_command(settings, None, 0)
        assert command[command.index("--url") + 1] == f"http://{written}:8123"
        target = target_of(command[command.index("--url") + 1], command[command.index("--mqtt") + 1])
        assert (target.mqtt_host, target.mqtt_port) == (host, 1884)
        assert checked_url(target.url) == target.url
