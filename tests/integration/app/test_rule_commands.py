"""`ioc rules …` as a person types it, on a real database with an hour of made-up history."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ioc.app.cli import rule_ops as cli_rule_ops
from ioc.app.cli.errors import EXPECTED, next_step
from ioc.app.cli.main import app
from ioc.app.rules.expected import unwatched
from ioc.app.rules.push import PushRefused, UnknownRuleError
from ioc.model.events import CameraCount, Event
from ioc.model.places import Area, Device, DeviceKind
from ioc.model.texts import Text
from ioc.model.times import SECOND_US, format_us, parse_us
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.writer import HistoryWriter

START_US = parse_us("2026-11-23T07:00:00+07:00")
CROWD = """
rule: crowd
title: {{vi: Đông người, en: Crowd}}
stream: camera
type: camera.count
where: people > {people}
by: [source]
hold: 60s
severity: low
"""

Run = Callable[..., Any]


def history() -> list[Event]:
    """A camera counts every ten seconds: 40 people every three minutes, 80 every half hour."""
    events = []
    for number in range(360):
        at_us = START_US + number * 10 * SECOND_US
        people = 80 if number % 180 == 90 else 40 if number % 18 == 0 else 5
        data = CameraCount(people=people)
        events.append(Event(id=f"e{number}", source="cam-1", time_us=at_us, received_us=at_us, data=data))
    return events


async def store(dsn: str) -> None:
    async with open_pool(dsn, name="test") as pool, pool.connection() as connection:
        await HistoryWriter().write(connection, history())


@pytest.fixture
def ioc(database: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "crowd.yaml").write_text(CROWD.format(people=60))
    monkeypatch.setenv("IOC_DATABASE__ADMIN_DSN", database.admin)
    monkeypatch.setenv("IOC_DATABASE__APP_DSN", database.app)
    monkeypatch.setenv("IOC_RULES__FOLDER", str(folder))
    asyncio.run(store(database.app))
    runner = CliRunner()

    def run(*arguments: str, ok: bool = True) -> Any:
        done = runner.invoke(app, ["rules", *arguments, "--data", str(tmp_path / "var")])
        if not ok:
            assert isinstance(done.exception, EXPECTED), done.output
            return done.exception
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


@pytest.fixture
def rule_file(tmp_path: Path) -> Callable[[int], str]:
    def write(people: int) -> str:
        path = tmp_path / f"crowd-{people}.yaml"
        path.write_text(CROWD.format(people=people))
        return str(path)

    return write


def test_a_push_is_listed_with_author_time_and_text(ioc: Run, rule_file: Callable[[int], str]) -> None:
    pushed = ioc("push", rule_file(70), "--author", "an", "--reason", "less noise", "--json")
    assert (pushed["version"], pushed["rules"], pushed["backtest"]["over_budget"]) == (2, ["crowd"], [])
    changes = ioc("history", "crowd", "--text", "--json")["items"]
    assert [(c["version"], c["author"], c["op"], c["reason"]) for c in changes] == [
        (2, "an", "push", "less noise"),
        (1, "ioc", "import", "folder at the first start"),
    ]
    assert "people > 70" in changes[0]["text"]
    (listed,) = ioc("list", "--json")["items"]
    assert (listed["rule"], listed["set_version"], listed["enabled"]) == ("crowd", 2, True)
    assert "crowd" in ioc("list")
    assert "noise" in ioc("history")


async def register_cameras(dsn: str, names: list[str]) -> None:
    made = [Device(id=n, kind=DeviceKind.CAMERA, name=n, ward="w1", expected_interval_s=10.0) for n in names]
    async with open_pool(dsn, name="test") as pool, pool.connection() as connection:
        await upsert_devices(connection, made)


def test_a_push_says_how_many_devices_its_rule_cannot_watch(
    ioc: Run, database: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(register_cameras(database.app, ["a", "b", "c"]))
    file = tmp_path / "silent.yaml"
    text = "rule: silent\ntitle: {vi: a, en: a}\nstream: camera\nabsence: 90s\nseverity: low\n"
    file.write_text(text)
    assert "not watched" not in ioc("push", str(file), "--backtest-over", "0s")
    monkeypatch.setattr(cli_rule_ops, "unwatched", partial(unwatched, max_keys=1))
    file.write_text(text.replace("90s", "80s"))
    assert "silent: 2 devices" in ioc("push", str(file), "--backtest-over", "0s")
    file.write_text(text)
    (note,) = ioc("push", str(file), "--backtest-over", "0s", "--json")["notes"]
    assert note.startswith("silent: 2 devices")


async def import_areas(dsn: str, kinds: list[str]) -> None:
    ring = [[106, 11], [107, 11], [107, 12], [106, 12], [106, 11]]
    square = {"type": "Polygon", "coordinates": [ring]}
    async with open_pool(dsn, name="test") as pool, pool.connection() as connection:
        for kind in kinds:
            area = Area(code="101", kind=kind, name=Text(kind, kind), geometry=square)
            await replace_areas(connection, kind, [area])


def test_a_push_says_where_a_code_is_that_of_several_kinds_of_area(
    ioc: Run, database: Dsns, tmp_path: Path
) -> None:
    asyncio.run(import_areas(database.app, ["ward", "road"]))
    file = tmp_path / "crowd.yaml"
    file.write_text(CROWD.format(people=61) + 'area: {code: "101"}\n')
    assert "crowd: area 101 is road:101 and ward:101" in ioc("push", str(file), "--backtest-over", "0s")
    file.write_text(CROWD.format(people=61) + 'area: {code: "ward:101"}\n')
    assert "notes" not in ioc("push", str(file), "--backtest-over", "0s", "--json")


def test_a_push_to_be_warmed_says_so_where_no_worker_runs(ioc: Run, rule_file: Callable[[int], str]) -> None:
    pushed = ioc("push", rule_file(70), "--warm", "1h", "--json")
    assert (pushed["version"], pushed["warm_s"], pushed["warmed"]) == (2, 3600, False)
    assert "at most 24 h" in str(ioc("push", rule_file(80), "--warm", "25h", ok=False))


def test_a_flood_is_pushed_only_with_a_reason(ioc: Run, rule_file: Callable[[int], str]) -> None:
    refused = ioc("push", rule_file(30), ok=False)
    assert isinstance(refused, PushRefused)
    assert "20 alarms in the busiest hour" in str(refused)
    assert [c["version"] for c in ioc("history", "--json")["items"]] == [1]
    assert ioc("push", rule_file(30), "--shadow", "--json")["version"] == 2
    accepted = ioc("push", rule_file(30), "--accept-flood", "festival week", "--json")
    assert (accepted["version"], accepted["backtest"]["over_budget"]) == (3, ["crowd"])
    (listed,) = ioc("list", "--json")["items"]
    assert listed["shadow"] is None  # decided with the push


def test_rules_that_do_not_compile_name_file_line_and_column(ioc: Run, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(CROWD.format(people=60).replace("people >", "peeple >"))
    assert f"{path}:6:" in str(ioc("push", str(path), ok=False))
    assert [c["version"] for c in ioc("history", "--json")["items"]] == [1]


def test_a_backtest_prints_what_is_gained_and_lost(ioc: Run, rule_file: Callable[[int], str]) -> None:
    more = ioc("backtest", rule_file(30), "--json")
    assert (len(more["gained"]), len(more["lost"]), more["same"]) == (18, 0, 2)
    assert more["rules"]["crowd"]["base"]["alarms"] == 2
    assert more["rules"]["crowd"]["busiest_hour"] == 20
    fewer = ioc("backtest", rule_file(90), "--from", "2026-11-23T00:00:00Z", "--json")
    assert [item["base"]["opened"] for item in fewer["lost"]] == [
        format_us(START_US + number * 10 * SECOND_US) for number in (90, 270)
    ]
    assert fewer["gained"] == []
    alone = ioc("backtest", rule_file(30), "--against", "none", "--from", "30m", "--json")
    assert len(alone["gained"]) == 10
    against = ioc("backtest", rule_file(30), "--against", rule_file(35), "--json")
    assert (against["same"], against["gained"], against["lost"]) == (20, [], [])
    shown = ioc("backtest", rule_file(30))
    assert "18 gained, 0 lost, 0 earlier, 0 later, 2 the same" in shown
    assert "over 6" in shown


def test_why_says_what_was_missing(ioc: Run, rule_file: Callable[[int], str]) -> None:
    at = format_us(START_US + 185 * SECOND_US)
    found = ioc("why", "crowd", "--at", at, "--key", "cam-1", "--json")
    assert (found["fired"], found["failed"]) == (False, ["people > 60"])
    (check,) = [check for check in found["checks"] if not check["held"]]
    assert (check["value"], check["threshold"], check["short_by"]) == (40.0, 60.0, 20.0)
    assert ioc("why", "crowd", "--at", at, "--key", "cam-1", "--file", rule_file(30), "--json")["fired"]
    assert "did not fire" in ioc("why", "crowd", "--at", at, "--key", "cam-1")
    ioc("disable", "crowd", "--reason", "broken camera")
    assert ioc("why", "crowd", "--at", at, "--key", "cam-1", "--json")["disabled"] == "broken camera"
    assert "did you mean 'crowd'" in str(ioc("why", "crow", "--at", at, "--key", "cam-1", ok=False))


def test_a_rule_that_is_not_there_is_named_with_the_one_that_may_be_meant(ioc: Run) -> None:
    for command in (
        ("history", "crwd"),
        ("disable", "crwd", "--reason", "x"),
        ("enable", "crwd"),
        ("why", "crwd", "--at", format_us(START_US), "--key", "x"),
    ):
        named = ioc(*command, ok=False)
        assert isinstance(named, UnknownRuleError), command
        assert str(named) == "there is no rule 'crwd'; did you mean 'crowd'?"
        assert "rules list" in next_step(named)
    for command in (("shadow", "crwd"), ("disable", "crowd", "--shadow", "--reason", "x")):
        assert str(ioc(*command, ok=False)).startswith(f"there is no shadow of a rule '{command[1]}'")


def test_what_is_not_there_is_told_with_the_command_that_lists_it(
    ioc: Run, rule_file: Callable[[int], str]
) -> None:
    unknown = ioc("why", "nosuch", "--at", format_us(START_US), "--key", "x", ok=False)
    assert isinstance(unknown, UnknownRuleError)
    assert "rules list" in next_step(unknown)
    version = ioc("backtest", rule_file(30), "--against", "7", ok=False)
    assert str(version) == "there is no version 7 of the rules; the newest is 0"


def test_disable_and_enable_are_versions_too(ioc: Run, rule_file: Callable[[int], str]) -> None:
    assert ioc("disable", "crowd", "--reason", "roadworks", "--json")["version"] == 2
    (listed,) = ioc("list", "--json")["items"]
    assert (listed["enabled"], listed["error"]) == (False, "roadworks")
    assert ioc("enable", "crowd", "--json")["version"] == 3
    assert ioc("push", rule_file(70), "--shadow", "--json")["version"] == 4
    assert ioc("shadow", "crowd", "--json") == {"items": []}
    assert ioc("disable", "crowd", "--shadow", "--reason", "seen enough", "--json")["version"] == 5
    (listed,) = ioc("list", "--json")["items"]
    assert (listed["enabled"], listed["shadow"]) == (True, None)
