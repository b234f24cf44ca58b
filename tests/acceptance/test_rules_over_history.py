"""Rules tried on an hour of simulated traffic, through the command line as a person uses it."""

import asyncio
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ioc.store.embedded import Dsns
from tests.acceptance.virtual_city import ROOT
from tests.conftest import Server
from tests.integration.app.test_rule_history import demo_city, fill, seconds_of

HOUR_S = 3600
PATIENCE_S = 300
RULE = (ROOT / "rules" / "congestion.yaml").read_text("utf-8")
SLOWER = RULE.replace("speed_kmh < 15", "speed_kmh < 20").replace("for: 20s", "for: 120s")
FLOOD = RULE.replace("speed_kmh < 15 && occupancy > 0.35", "speed_kmh < 60").replace("for: 20s", "for: 1s")
_PARTITION = re.compile(r"_\d{8}_\d{4}$")
_numbers = count()


class Terminal:
    """`ioc rules …` on a database that holds an hour of the simulated city."""

    def __init__(self, dsns: Dsns, folder: Path) -> None:
        self.dsns = dsns
        self._folder = folder
        names = {"IOC_DATABASE__ADMIN_DSN": dsns.admin, "IOC_DATABASE__APP_DSN": dsns.app}
        # What a user's shell says about colours must not decide.
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        self._environment = kept | names | {"TERM": "xterm", "COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ioc.app", "rules", *arguments, "--data", str(self._folder)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self._environment, capture_output=True, text=True, check=False
        )

    def file(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text, "utf-8")
        return str(path)

    def seen(self, *arguments: str) -> tuple[int, str, str]:
        """Run with standard error on a terminal; return exit code, standard output, and what was drawn."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            self.command(*arguments), env=self._environment, stdout=subprocess.PIPE, stderr=theirs, text=True
        ) as process:
            os.close(theirs)
            drawn = b""
            deadline_s = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline_s:
                if not select.select([ours], [], [], 1.0)[0]:
                    continue
                try:
                    drawn += os.read(ours, 65536)
                except OSError:  # Linux says so when the other side has closed
                    break
            else:
                process.kill()
            os.close(ours)
            assert process.stdout is not None
            output = process.stdout.read()
        return process.returncode, output, drawn.decode()

    def contents(self) -> dict[str, tuple[int, str]]:
        """Return of every table how many rows there are, and a digest of all of them.

        Empty partitions are left out: whoever opens the database when a day has begun makes those to come.
        """
        found = {}
        with psycopg.connect(self.dsns.admin) as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                " AND tablename <> 'history_partition' ORDER BY 1, 2"
            ).fetchall()
            for table in tables:
                row = connection.execute(
                    sql.SQL(
                        "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
                    ).format(sql.Identifier(*table))
                ).fetchone()
                assert row is not None
                if row[0] or not _PARTITION.search(table[1]):
                    found[".".join(table)] = (row[0], row[1])
        return found


@pytest.fixture(scope="module")
def an_hour(
    postgres: Server, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    name = f"over_history_{next(_numbers)}"
    dsns = postgres.create(name, template=migrated_template)

    async def live() -> None:
        async with demo_city(dsns) as city:
            await fill(city, seconds_of(city, "morning-rush", HOUR_S), log=False)

    asyncio.run(live())
    yield Terminal(dsns, tmp_path_factory.mktemp("terminal"))
    postgres.drop(name)


@pytest.mark.slow
def test_a_changed_rule_prints_its_diff_and_a_bar_and_writes_nothing(an_hour: Terminal) -> None:
    file = an_hour.file("congestion.yaml", SLOWER)
    before = an_hour.contents()
    assert before["public.rule_version"][0] == 1
    code, output, drawn = an_hour.seen("backtest", file)
    assert code == 0
    assert re.search(r"\d+ gained, 0 lost, 0 earlier, \d+ later, \d+ the same", output)
    assert re.search(r"later +│ +\S+ +│ +\+1\d\d s +│ +congestion +│ +det-", output)
    # share, events a second and remaining time; gone at the end
    assert re.search(r"backtest ━+ +\d+% [\d,]+ events/s \d:\d\d:\d\d", re.sub(r"\x1b\[[\d;]*m", "", drawn))
    assert drawn.rstrip("\r\n").endswith("\x1b[2K")
    assert "events/s" not in output

    piped = an_hour.run("backtest", file)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout == output
    code, output, drawn = an_hour.seen("backtest", file, "--json")
    assert (code, drawn) == (0, "")
    report = json.loads(output)
    assert len(report["later"]) >= 4
    assert {item["key"] for item in report["gained"]} == {"det-25888-03"}
    assert an_hour.contents() == before


@pytest.mark.slow
def test_a_flood_over_an_hour_of_traffic_is_refused_until_somebody_answers_for_it(an_hour: Terminal) -> None:
    file = an_hour.file("congestion.yaml", FLOOD)
    before = an_hour.contents()
    refused = an_hour.run("push", file)
    assert refused.returncode == 1
    assert re.search(r"congestion: \d+ alarms in the busiest hour per operator", refused.stderr)
    assert "give --accept-flood REASON" in refused.stderr
    assert an_hour.contents() == before
    blank = an_hour.run("push", file, "--accept-flood", " ")
    assert (blank.returncode, an_hour.contents() == before) == (1, True)

    reason = "Tết: mọi ngả đều chậm"
    accepted = an_hour.run("push", file, "--accept-flood", reason, "--author", "an", "--json")
    assert accepted.returncode == 0, accepted.stderr
    pushed = json.loads(accepted.stdout)
    assert pushed["backtest"]["rules"]["congestion"]["verdict"] == "over"
    (newest, *_) = json.loads(an_hour.run("history", "congestion", "--json").stdout)["items"]
    assert (newest["version"], newest["author"], newest["accepted_flood"]) == (2, "an", reason)
    assert reason in an_hour.run("history", "congestion").stdout
    with psycopg.connect(an_hour.dsns.admin) as connection:
        found = connection.execute(
            "SELECT area, actor, subject, doc FROM audit_entry WHERE op = 'flood_accepted'"
        ).fetchall()
    doc = {"op": "flood_accepted", "actor": "an", "subject": "congestion"}
    assert found == [("access", "an", "congestion", doc | {"version": 2, "reason": reason})]


def test_a_backtest_of_an_installation_that_never_ran_leaves_it_empty(database: Dsns, tmp_path: Path) -> None:
    terminal = Terminal(database, tmp_path)
    file = terminal.file("congestion.yaml", SLOWER)
    done = terminal.run("backtest", file)  # makes the topics of the log, as every command does
    assert (done.returncode, done.stdout) == (1, "")
    assert "no history of traffic" in done.stderr
    before = terminal.contents()
    assert before["public.rule_version"][0] == 0
    assert terminal.run("backtest", file, "--json").returncode == 1
    assert terminal.contents() == before
    wrong = terminal.run("backtest", terminal.file("wrong.yaml", RULE.replace("speed_kmh <", "sped <")))
    assert wrong.returncode == 1
    assert re.search(r"wrong\.yaml:7:8: .*did you mean 'speed_kmh'", wrong.stderr)
    assert terminal.run("backtest", file, "--from", "yesterday").returncode == 2
