"""The score: who is matched with what, and what the figures count."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators.cli.main import app
from simulators.raised import RaisedError, fetch_incidents, parse_incidents
from simulators.score import Raised, score
from simulators.times import SECOND_US, format_us, parse_us
from simulators.truth import Expected
from tests.unit.simulators.conftest import DEMO, START_US

FILES = ["--devices", str(DEMO / "devices.geojson"), "--areas", str(DEMO / "areas.geojson")]


def expected(source: str | None, began_s: float, until_s: float, rule: str = "congestion") -> Expected:
    return Expected(rule, rule, source, "w1", began_s + 45, until_s, 15, 20, began_s)


def raised(source: str | None, at_s: float, rule: str = "congestion") -> Raised:
    return Raised(rule, source, "w1", at_s)


def test_the_first_of_an_episode_detects_it_the_second_repeats_it_and_what_fits_nothing_is_false() -> None:
    found = score(
        "t",
        [expected("det-1", 100, 400), expected("det-1", 1000, 1400), expected("det-2", 100, 400)],
        [
            raised("det-1", 150),
            raised("det-1", 300),
            raised("det-1", 1100),
            raised("det-2", 99),
            raised("det-2", 421),
            raised("det-3", 150),
        ],
        8640,
    )
    total = found.total
    assert (total.expected, total.detected, total.repeated, total.false) == (3, 2, 1, 3)
    assert total.false_per_day == 30.0
    assert (total.detection, found.detection) == (0.6667, 0.6667)
    assert [item.source for item in found.missed] == ["det-2"]
    assert [(item.source, item.at_s) for item in found.false] == [
        ("det-2", 99),
        ("det-3", 150),
        ("det-2", 421),
    ]


def test_time_to_detect_counts_from_the_beginning_of_the_cause_and_per_rule() -> None:
    wanted = [expected(f"det-{n}", 100, 900) for n in range(20)] + [expected("cam-1", 0, 900, "crowd")]
    found = score(
        "t", wanted, [raised(f"det-{n}", 101 + n) for n in range(20)] + [raised("cam-1", 7, "crowd")], 1000
    )
    assert [(f.rule, f.median_s, f.p95_s) for f in found.rules] == [
        ("congestion", 10.0, 19.0),
        ("crowd", 7.0, 7.0),
    ]


def test_a_rule_over_wards_is_matched_by_the_ward() -> None:
    flood = expected(None, 100, 900, "flood-report")
    assert score("t", [flood], [Raised("flood-report", "portal-citizen", "w1", 160)], 1000).detection == 1
    assert score("t", [flood], [Raised("flood-report", "portal-citizen", "w2", 160)], 1000).detection == 0


def test_what_may_come_after_the_end_is_neither_missed_nor_false() -> None:
    at_the_edge = [expected("det-1", 970, 1500)]
    assert score("t", at_the_edge, [], 1000).total.expected == 0
    found = score("t", at_the_edge, [raised("det-1", 999)], 1000)
    assert (found.total.expected, found.total.detected, found.total.false) == (0, 0, 0)


def test_reports_of_citizens_are_not_judged_and_nothing_expected_is_nothing_missed() -> None:
    found = score("t", [], [Raised("citizen-report", "citizens", "w1", 5)], 1000)
    assert (found.total.false, found.total.detection, found.detection) == (0, None, 1.0)


def test_incidents_are_read_as_exported_as_an_array_and_as_answered() -> None:
    exported = {"rule": "crowd", "source": "cam-1", "ward": "w1", "detected_us": START_US + 5 * SECOND_US}
    answered = {"rule": "crowd", "source": "cam-1", "detected": format_us(START_US + 5 * SECOND_US)}
    lines = b"\n".join(json.dumps(item).encode() for item in (exported, answered))
    page = {"items": [exported, answered], "next": None}
    for data in (lines, json.dumps([exported, answered]).encode(), json.dumps(page).encode()):
        found = parse_incidents(data, START_US)
        assert [(item.source, item.at_s) for item in found] == [("cam-1", 5.0)] * 2
    assert parse_incidents(b"", START_US) == []


@pytest.mark.parametrize("data", [b"nonsense", b'{"rule": "crowd"}', b'[{"rule": 1}]', b'{"items": 3}'])
def test_what_is_no_list_of_incidents_is_refused(data: bytes) -> None:
    with pytest.raises(RaisedError, match="ioc export incidents"):
        parse_incidents(data, START_US, "x.ndjson")


@contextmanager
def api(pages: list[bytes]) -> Iterator[tuple[str, list[str]]]:
    """A service that knows one login and answers `pages` in turn; and what it was asked."""
    asked: list[str] = []
    left = iter(pages)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(200 if sent == {"username": "supervisor", "password": "right"} else 401, b"{}")

        def do_GET(self) -> None:
            self._answer(200, next(left))

        def do_DELETE(self) -> None:
            self._answer(200, b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def page_of(*at_s: float, following: str | None = None) -> bytes:
    items = [
        {"rule": "crowd", "source": "cam-1", "detected": format_us(START_US + round(at * SECOND_US))}
        for at in at_s
    ]
    return json.dumps({"items": items, "next": following}).encode()


def test_a_service_is_asked_page_by_page_until_the_incidents_are_older_than_the_start() -> None:
    pages = [page_of(90, 60, following="c1"), page_of(30, -5, following="c2"), page_of(-50)]
    with api(pages) as (url, asked):
        found = asyncio.run(fetch_incidents(url, "supervisor", "right", START_US))
    assert [item.at_s for item in found] == [90, 60, 30]
    assert asked == [
        "POST /api/v1/session",
        "GET /api/v1/incidents?state=all&limit=200",
        "GET /api/v1/incidents?state=all&limit=200&cursor=c1",
        "DELETE /api/v1/session",
    ]


def test_a_wrong_password_is_told_with_where_to_look() -> None:
    with api([]) as (url, _), pytest.raises(RaisedError, match=r"HTTP 401.*logins file"):
        asyncio.run(fetch_incidents(url, "supervisor", "wrong", START_US))


@pytest.mark.parametrize("page", [b"<html>ok", b'{"items":[{"rule":"crowd","detected":"soon"}]}', b"[]"])
def test_something_else_that_answers_is_no_service(page: bytes) -> None:
    with api([page]) as (url, _), pytest.raises(RaisedError, match="does not answer as the service does"):
        asyncio.run(fetch_incidents(url, "supervisor", "right", START_US))


def test_a_service_that_is_down_is_named() -> None:
    with pytest.raises(RaisedError, match=r"no answer from http://127\.0\.0\.1:1"):
        asyncio.run(fetch_incidents("http://127.0.0.1:1", "supervisor", "x", START_US))


def test_the_command_prints_a_table_or_json_and_ends_with_1_below_the_minimum(tmp_path: Path) -> None:
    start_us = parse_us("2026-11-23T06:45:00+07:00")
    jam = {"rule": "congestion", "source": "det-25966-02", "detected_us": start_us + 105 * SECOND_US}
    file = tmp_path / "incidents.ndjson"
    file.write_text(json.dumps(jam))
    # One jam is due in the first 150 s of the scenario.
    arguments = ["score", "morning-rush", "--incidents", str(file), "--duration", "150", *FILES]
    good = CliRunner().invoke(app, arguments)
    assert (good.exit_code, "congestion" in good.output) == (0, True)
    shown = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert (shown["detection"], shown["total"]["median_s"]) == (1.0, 45.0)
    file.write_text("")
    bad = CliRunner().invoke(app, arguments)
    assert bad.exit_code == 1
    assert "missed: congestion at det-25966-02" in bad.output
    assert CliRunner().invoke(app, [*arguments, "--min-detection", "0"]).exit_code == 0
