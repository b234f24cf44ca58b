"""How far groups are behind is told topic by topic: a quiet topic beside a busy one is not behind."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ioc.app import supervisor
from ioc.app.readiness import MAX_LAG_RECORDS, Readiness
from ioc.app.supervisor import Plan, supervise
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.store.positions import StorePositions
from ioc.store.row_scope import ScopedPool

BUSY = MAX_LAG_RECORDS + 10
LEFT = "stopping before everything was processed; the rest follows at the next start"


class Ends:
    """A log of which only the ends are asked."""

    def __init__(self, ends: Mapping[str, Mapping[int, int]]) -> None:
        self._ends = ends

    async def ends(self, topic: str) -> dict[int, int]:
        return dict(self._ends[topic])


async def core_at(pool: ScopedPool, *, events: int, wide: int) -> Any:
    """Return a core whose rules have taken `events` and `wide` records of a busy and a quiet topic."""
    positions = StorePositions(pool)  # type: ignore[arg-type]
    for topic, start in ((EVENTS_TOPIC, events), (WIDE_TOPIC, wide)):
        await positions.claim("rules", topic, 0, "test", start)
    await positions.claim("store", EVENTS_TOPIC, 0, "test", BUSY)
    return SimpleNamespace(
        log=Ends({EVENTS_TOPIC: {0: BUSY}, WIDE_TOPIC: {0: BUSY}}), pool=pool, api_pool=pool
    )


@pytest.mark.parametrize(
    ("events", "wide", "ok", "detail"),
    [
        (BUSY, BUSY, True, "rules 0 records, store 0 records"),
        (BUSY - 3, BUSY - 2, True, "rules 5 records, store 0 records"),
        (9, BUSY, False, f"rules {BUSY - 9} records, store 0 records"),
        (BUSY, 9, False, f"rules {BUSY - 9} records, store 0 records"),
    ],
)
async def test_readiness_counts_what_each_topic_still_holds(
    pool: ScopedPool, events: int, wide: int, ok: bool, detail: str
) -> None:
    found = await Readiness(await core_at(pool, events=events, wide=wide), None).lag()
    assert (found.ok, found.detail) == (ok, detail)


async def test_a_quiet_topic_does_not_make_a_service_unready(pool: ScopedPool) -> None:
    core = await core_at(pool, events=BUSY, wide=7)
    core.log = Ends({EVENTS_TOPIC: {0: BUSY}, WIDE_TOPIC: {0: 7}})
    assert (await Readiness(core, None).lag()).ok


@pytest.mark.parametrize(("events", "left"), [(BUSY, False), (BUSY - 1, True)])
async def test_a_stop_waits_for_events_that_are_left_and_for_no_other_topic(
    pool: ScopedPool, monkeypatch: pytest.MonkeyPatch, events: int, left: bool
) -> None:
    monkeypatch.setattr(supervisor, "DRAIN_S", 0.2 if left else 60.0)
    core, stop = await core_at(pool, events=events, wide=7), asyncio.Event()
    stop.set()
    with capture_logs() as entries:
        async with asyncio.timeout(50):
            await supervise(Plan(), core, stop, lambda: None)
    assert (LEFT in [entry["event"] for entry in entries]) is left
