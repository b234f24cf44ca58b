"""The desk beside `--open` open and `--closed` closed incidents: queue, incident, commands, routing preview.

Incidents are made inside the database with a fixed seed, over the wards of the demo city and two years, three
entries of history each; their chained audit entries are left out.
Then the service runs as people use it, and one person asks over HTTP, one question after the other: each kind
`ASKED` times after `WARM_UP` unmeasured ones. An incident's page is what the console asks for: the incident,
its history and its members; the leaders' page the figures of the city, of each ward, and warnings.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg

from benchmarks.machine import percentile, resident_mb
from benchmarks.service import Service
from ioc.store.embedded import create_database, embedded_postgres

ASKED = 200
COLUMNS = ("open", "overdue", "processing_rate", "within_time", "acknowledge_median", "resolve_median",
           "camera_coverage")  # fmt: skip
WARM_UP = 10
PREVIEWS = 5
PAGE = 100
CATEGORIES = ("traffic", "flood", "fire", "crowd", "equipment", "citizen")

_INCIDENTS: LiteralString = """
    INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title, why, opened,
        detected, updated, ward, source, lon, lat, cleared, acknowledged, responded, resolved, closed,
        assignee, team, count, ack_due, respond_due, resolve_due, escalate)
    SELECT prefix || lpad(n::text, 20, '0'), 3, 'bench-' || n %% 40, prefix || n,
        (%(categories)s::text[])[1 + (h & 1023) %% array_length(%(categories)s::text[], 1)],
        (ARRAY['critical', 'high', 'high', 'medium', 'medium', 'medium', 'low', 'low'])[1 + ((h >> 3) & 7)],
        CASE WHEN gone THEN 'cleared' ELSE 'active' END,
        CASE WHEN done THEN 'closed'
             ELSE (ARRAY['new', 'acknowledged', 'assigned', 'in_progress'])[1 + n %% 4] END,
        jsonb_build_object('vi', 'Ùn tắc giao thông', 'en', 'Congestion'),
        jsonb_build_object('rule_version', '1', 'summary',
            jsonb_build_object('vi', 'Tốc độ dưới 20 km/h', 'en', 'Slower than 20 km/h')),
        t, t, t + interval '40 minutes', ward, 'cam-' || n %% 1000, 106.4 + (h & 1023) * 0.0005,
        10.9 + ((h >> 10) & 1023) * 0.0004, CASE WHEN gone THEN t + interval '20 minutes' END,
        t + interval '1 second' * (20 + (h & 511)), t + interval '1 second' * (540 + (h >> 4 & 511)),
        CASE WHEN done THEN t + interval '1 second' * (1100 + (h >> 9 & 1023)) END,
        CASE WHEN done THEN t + interval '40 minutes' END, 'ward', 'Đội trật tự đô thị', 1 + n %% 7,
        t + interval '5 minutes', t + interval '30 minutes',
        CASE WHEN done THEN t + interval '2 hours'
             ELSE now() + interval '2 days' + n * interval '1 second' END,
        CASE WHEN NOT done THEN now() + interval '1 day' END
    FROM (SELECT n, hashint8(n + 7)::bigint & x'7fffffff'::bigint AS h, %(prefix)s::text AS prefix,
              (%(wards)s::text[])[1 + n %% array_length(%(wards)s::text[], 1)] AS ward,
              %(done)s::boolean AS done, %(done)s OR n %% 4 = 1 AS gone,
              now() - %(span)s::interval * (n + 1) / %(total)s::double precision AS t
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) made
"""
_HISTORY: LiteralString = """
    INSERT INTO incident_audit (incident_id, rev, at, actor, op, before, after)
    SELECT %(prefix)s || lpad(n::text, 20, '0'), step, now(), CASE step WHEN 1 THEN 'rules' ELSE 'ward' END,
        (ARRAY['raise', 'acknowledge', 'start'])[step], (ARRAY[NULL, 'new', 'acknowledged'])[step],
        (ARRAY['new', 'acknowledged', 'in_progress'])[step]
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n, generate_series(1, 3) step
"""
_CHUNK = 100_000
_PEOPLE_DO: tuple[tuple[str, dict[str, str]], ...] = (
    ("comment", {"note": "đã gọi lại"}),
    ("assign", {"assignee": "Tổ 2"}),
    ("start", {}),
    ("resolve", {"note": "đã xong"}),
    ("close", {}),
    ("reopen", {"note": "vẫn còn"}),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--open", type=int, default=50_000, help="open incidents")
    parser.add_argument("--closed", type=int, default=2_000_000, help="closed incidents")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var")
        service.start()
        wards = _wards(service)
        service.stop()
        made_s = _make(service.data / "pg", wards, arguments.open, arguments.closed)
        _say("starting the service beside them")
        service.start()
        try:
            return _measure(service, wards, arguments) | {"made_s": round(made_s, 1)}
        finally:
            service.stop()


def _wards(service: Service) -> list[str]:
    answer = httpx.get(f"{service.url}/api/v1/areas?kind=ward", headers=service.login())
    answer.raise_for_status()
    return sorted(area["properties"]["code"] for area in answer.json()["features"])


def _make(folder: Path, wards: list[str], opened: int, closed: int) -> float:
    """Fill the database of a service that has stopped and return the seconds it took."""
    began_s = time.monotonic()
    with (
        embedded_postgres(folder) as server,
        psycopg.connect(create_database(server, "ioc").admin, autocommit=True) as connection,
    ):
        # Without triggers: neither the audit's chain nor row security is what is measured here.
        connection.execute("SET session_replication_role = replica")
        for prefix, done, total, span in (("c", True, closed, "730 days"), ("o", False, opened, "20 days")):
            for first in range(0, total, _CHUNK):
                _say(f"making {'closed' if done else 'open'} incidents: {first:,} of {total:,}")
                numbers = {"prefix": prefix, "first": first, "last": min(first + _CHUNK, total) - 1}
                connection.execute(
                    _INCIDENTS,
                    {
                        **numbers, "categories": list(CATEGORIES), "wards": wards, "done": done,
                        "total": total, "span": span,
                    },
                )  # fmt: skip
                connection.execute(_HISTORY, numbers)
        _say("counting their figures")
        connection.execute("SELECT ioc_count_figures()")
        _say("analysing")
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - began_s


def _measure(service: Service, wards: list[str], arguments: argparse.Namespace) -> dict[str, object]:
    chance = random.Random(7)
    headers = service.login("supervisor")
    with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=60) as client:
        desk = _Desk(client, chance, wards, arguments.open, arguments.closed)
        figures: dict[str, object] = {
            name: _timed(question, ASKED)
            for name, question in (
                ("queue", desk.queue),
                ("queue_filtered", desk.queue_filtered),
                ("queue_later_page", desk.later_page),
                ("everything_of_a_ward", desk.all_of_ward),
                ("incident", desk.incident),
                ("forecast", lambda: desk.get("/forecast?hours=24")),
            )
        }
        for period in ("today", "7d", "30d", "quarter"):
            figures[f"leaders_page_{period}"] = _timed(partial(desk.leaders_page, period), ASKED // 4)
        figures["figure_incidents"] = _timed(desk.behind_a_figure, ASKED // 4)
        figures["commands"] = desk.commands()
        figures["routing_preview"] = {
            "looked_at": desk.preview()["looked_at"],
            **_timed(desk.preview, PREVIEWS, warm_up=0),
        }
    return {
        "workload": {
            "open": arguments.open,
            "closed": arguments.closed,
            "wards": len(wards),
            "asked": ASKED,
            "made": "INSERT … SELECT generate_series; then VACUUM ANALYZE",
        },
        **figures,
        "rss_mb": resident_mb(service.processes()),
    }


class _Desk:
    """One person's questions, drawn with a fixed seed."""

    def __init__(
        self, client: httpx.Client, chance: random.Random, wards: list[str], opened: int, closed: int
    ) -> None:
        self._client = client
        self._chance = chance
        self._wards = wards
        self._opened = opened
        self._closed = closed
        self._keys = (f"bench-{n:08}" for n in count())

    def get(self, path: str) -> Any:
        """Return the answer to a question that must succeed."""
        answer = self._client.get(path)
        answer.raise_for_status()
        return answer.json()

    def queue(self) -> None:
        """The queue as it opens."""
        assert len(self.get(f"/incidents?limit={PAGE}")["items"]) == PAGE

    def queue_filtered(self) -> None:
        """One ward, one category, two severities."""
        category = self._chance.choice(CATEGORIES)
        self.get(
            f"/incidents?limit={PAGE}&ward={self._ward()}&category={category}&severity=critical&severity=low"
        )

    def later_page(self) -> None:
        """The page after the first of a ward."""
        following = self.get(f"/incidents?limit={PAGE}&ward={self._ward()}")["next"]
        assert following
        began = self.get(f"/incidents?limit={PAGE}&cursor={following}")
        assert began["items"]

    def all_of_ward(self) -> None:
        """Closed ones too."""
        self.get(f"/incidents?limit={PAGE}&state=all&ward={self._ward()}&category=flood")

    def incident(self) -> None:
        """An incident's page: mostly old ones, which nobody has looked at lately."""
        incident_id = self._any_closed() if self._chance.random() < 0.7 else self._any_open()
        for path in ("", "/history", "/members"):
            self.get(f"/incidents/{incident_id}{path}")

    def leaders_page(self, period: str) -> None:
        """Every figure of the city, the table of wards, and the warnings."""
        assert any(each["n"] for each in self.get(f"/kpis?period={period}")["items"][0]["figures"])
        columns = "&".join(f"figure={figure}" for figure in COLUMNS)
        table = self.get(f"/kpis?period={period}&group_by=ward&trend=false&{columns}")["items"]
        assert len(table) > len(self._wards)
        self.get("/warnings")

    def behind_a_figure(self) -> None:
        """The incidents that were late in a ward this quarter."""
        for figure in ("overdue", "within_time", "resolve_median"):
            self.get(f"/kpis/{figure}/incidents?period=quarter&ward={self._ward()}")

    def commands(self) -> dict[str, object]:
        """Each command on incidents that are ready for it."""
        took_ms: dict[str, list[float]] = {op: [] for op, _ in _PEOPLE_DO}
        for _ in range(ASKED // 4):
            incident = self.get(f"/incidents/{self._any_open()}")
            for op, arguments in _PEOPLE_DO:
                if op == "start" and incident["handling"] == "in_progress":
                    continue
                began_s = time.perf_counter()
                incident = self._command(incident, op, arguments)
                took_ms[op].append((time.perf_counter() - began_s) * 1000)
        return {op: _figures(times) for op, times in took_ms.items()}

    def preview(self) -> Any:
        """What another authority table would change for every open incident."""
        rows = [{"team": "Đội mới", "category": "flood"}]
        answer = self._client.post("/policies/preview", json={"authority": {"rows": rows}})
        answer.raise_for_status()
        return answer.json()

    def _command(self, incident: dict[str, Any], op: str, arguments: dict[str, str]) -> dict[str, Any]:
        body = {"op": op, "expect_rev": incident["rev"], "idem": next(self._keys), "args": arguments}
        answer = self._client.post(f"/incidents/{incident['id']}/commands", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _ward(self) -> str:
        return self._chance.choice(self._wards)

    def _any_open(self) -> str:
        return f"o{self._chance.randrange(self._opened):020}"

    def _any_closed(self) -> str:
        return f"c{self._chance.randrange(self._closed):020}"


def _timed(question: Callable[[], object], asked: int, warm_up: int = WARM_UP) -> dict[str, object]:
    took_ms = []
    for number in range(asked + warm_up):
        began_s = time.perf_counter()
        question()
        if number >= warm_up:
            took_ms.append((time.perf_counter() - began_s) * 1000)
    return _figures(took_ms)


def _figures(took_ms: Iterable[float]) -> dict[str, object]:
    found = list(took_ms)
    return {f"p{share}_ms": round(percentile(found, share / 100), 1) for share in (50, 95, 99)}


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
