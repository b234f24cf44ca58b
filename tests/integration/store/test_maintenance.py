"""Maintenance lets old data go in bounded slices and touches nothing else."""

from collections import Counter

import pytest
from psycopg import OperationalError

from ioc.model.events import FeedbackReport, Stream
from ioc.model.times import DAY_US
from ioc.store.history import HistoryQuery, read_history
from ioc.store.history_plan import DAY_S, HistoryPlan
from ioc.store.layout import Layout, find_layout
from ioc.store.maintenance import Maintenance, MaintenanceSettings
from ioc.store.pool import Pool
from ioc.store.quarantine import Quarantine
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import NOON_US, event


class FakeLog:
    def __init__(self) -> None:
        self.left = Counter({"dedup": 25, "a": 7, "b": 0})

    def _take(self, name: str) -> int:
        taken = min(10, self.left[name])
        self.left[name] -= taken
        return taken

    async def retain(self, topic: str, now_us: int) -> int:
        return self._take(topic)

    async def prune_dedup(self, now_us: int) -> int:
        return self._take("dedup")


async def test_only_what_is_too_old_goes(pool: Pool) -> None:
    report = FeedbackReport(category="a", text="b")
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, [event(n, time_us=NOON_US - n * DAY_US) for n in range(100)])
        await HistoryWriter().write(
            connection, [event(n, report, time_us=NOON_US - n * DAY_US) for n in range(100)]
        )
    plan = HistoryPlan(traffic_s=60 * DAY_S)
    async with pool.connection() as connection:
        if (await find_layout(connection)).layout is Layout.HYPERTABLES:
            pytest.skip("TimescaleDB's policies do this: see test_layout.py")
    deleted = await Maintenance(pool, Quarantine(), MaintenanceSettings(slice_rows=7), plan).round(NOON_US)
    done = {task: count for task, count in deleted.items() if count}
    assert done == {"traffic_measurement": 39, "traffic_5m closed": 59}
    async with pool.connection() as connection:
        query = HistoryQuery(stream=Stream.TRAFFIC, from_us=0, to_us=NOON_US + 1)
        assert [int(item.id[2:]) for item in (await read_history(connection, query)).items] == list(range(61))


async def test_a_lost_database_is_waited_for_and_a_fault_of_ours_is_not(pool: Pool) -> None:
    rounds = 0

    class LogError(Exception):
        pass

    class LosingLog(FakeLog):
        async def prune_dedup(self, now_us: int) -> int:
            nonlocal rounds
            rounds += 1
            if rounds < 3:
                raise LogError("lost") from OperationalError("lost")
            raise ZeroDivisionError

    maintenance = Maintenance(pool, Quarantine(), MaintenanceSettings(interval_s=0.0), log=LosingLog())
    with pytest.raises(ZeroDivisionError):
        await maintenance.run(lambda: NOON_US)
    assert rounds == 3


async def test_a_round_is_bounded_and_the_next_one_goes_on(pool: Pool) -> None:
    log = FakeLog()
    maintenance = Maintenance(pool, Quarantine(), MaintenanceSettings(max_slices=2), None, log, ("a", "b"))
    assert (await maintenance.round(NOON_US))["log_dedup"] == 20
    second = await maintenance.round(NOON_US)
    assert (second["log_dedup"], second["log a"], second["log b"]) == (5, 0, 0)
    assert log.left.total() == 0


async def test_old_feed_entries_and_command_keys_go_but_the_newest_change_stays(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            'INSERT INTO incident_change ("offset", incident_id, rev, at, doc)'
            " SELECT n, 'inc', n, to_timestamp(%s) + n * interval '1 day', '' FROM generate_series(1, 20) n",
            (NOON_US / 1e6 - 30 * 86_400,),
        )
        await connection.execute(
            "INSERT INTO incident_command (idem, incident_id, actor, at)"
            " SELECT n::text, 'inc', 'an', to_timestamp(%s) - n * interval '1 day'"
            " FROM generate_series(1, 20) n",
            (NOON_US / 1e6,),
        )
    deleted = await Maintenance(pool, Quarantine(), MaintenanceSettings(feed_days=7)).round(NOON_US)
    assert (deleted["incident_change"], deleted["incident_command"]) == (19, 13)
