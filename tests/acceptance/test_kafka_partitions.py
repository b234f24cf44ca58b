"""Partitions added to a province's log in mid-stream, the command killed half-way: no incident differs."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ioc.app.core import open_log
from ioc.app.directory import Directory
from ioc.app.eventlog.drain import Log
from ioc.app.rules.expected import expected_sources, placed
from ioc.app.rules.partition import Item, decode
from ioc.app.rules.sets import RuleSets
from ioc.model.events import Event
from ioc.model.incidents import Cleared, Raised
from ioc.model.records import EVENTS_TOPIC, Activate, Tick
from ioc.model.times import SECOND_US
from ioc.rules import PartitionEngine
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from tests.acceptance.kafka_roles import PARTITIONS, KafkaRoles
from tests.acceptance.test_kafka_scale_out import Sender, devices, jams, wait_until

MORE = 12
STEPS = ("adding partitions to ioc.events", "adding partitions to ioc.wide")
"""Where the command is killed: Kafka has none of the new partitions by then, or those of one topic."""


@pytest.fixture
def roles(tmp_path: Path, kafka: str, database: Dsns) -> Iterator[KafkaRoles]:
    made = KafkaRoles(tmp_path / "many", kafka, database)
    yield made
    for name in list(made.processes):
        made.kill(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_partitions_are_added_in_mid_stream_and_the_incidents_are_those_of_one_engine(
    roles: KafkaRoles,
) -> None:
    key = roles.prepare()
    cameras, detectors = devices(roles, "camera"), devices(roles, "detector")
    for process in ("ingest", "store", "rules-a", "rules-b"):
        roles.start(process)
    wait_until(lambda: len(roles.owners()) == PARTITIONS)
    with Sender(roles, key, cameras, detectors):
        time.sleep(8.0)
        # From here on, what is sent waits for the command, which has to take it first.
        roles.stop("rules-a", "rules-b")
        time.sleep(4.0)
    roles.stop()

    for step in STEPS:
        kill_at(roles, step)
    refused = roles.refused("run", "rules")
    assert f"this database is laid out for {PARTITIONS}" in refused
    assert f"`ioc log partitions {MORE}`" in refused
    assert f"ioc.events: {PARTITIONS} → {MORE} partitions" in roles.command(
        "log", "partitions", str(MORE), "--yes"
    )
    assert f"log.partitions is {PARTITIONS}, and ioc.events has {MORE}" in roles.refused("run", "store")
    roles.set("IOC_LOG__PARTITIONS", str(MORE))

    jams_before = jams(roles)
    for process in ("ingest", "store", "rules-a", "rules-b"):
        roles.start(process)
    with Sender(roles, key, cameras, detectors[1:]):  # other detectors' jams
        wait_until(lambda: jams(roles) > jams_before, 240)
        time.sleep(3.0)
    roles.stop("ingest")
    ends = roles.ends(MORE)
    assert all(ends[number] > 0 for number in range(MORE))
    roles.wait_until_taken(ends)
    roles.stop()

    found = {str(row[0]): row[1:] for row in roles.rows("SELECT id, rule, key, condition FROM incident")}
    assert {"congestion", "wrong-way"} <= {row[0] for row in found.values()}, "rules with state and without"
    told = asyncio.run(one_engine(roles))
    only_here = {key: found[key] for key in found.keys() - told.keys()}
    only_there = {key: told[key] for key in told.keys() - found.keys()}
    assert (only_here, only_there) == ({}, {})
    assert found == told


def kill_at(roles: KafkaRoles, step: str) -> None:
    """Kill the command with -9 as soon as it says that it has come to `step`."""
    said: list[str] = []
    with roles.command_process("log", "partitions", str(MORE), "--yes") as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.decode())
            if step in said[-1]:
                process.kill()
                break
    assert process.returncode == -9, said


async def one_engine(roles: KafkaRoles) -> dict[str, tuple[object, ...]]:
    """Return (rule, key, condition) by id of what one engine says that sees the whole log."""
    settings = roles.settings()
    async with (
        open_pool(roles.database.app, name="look") as pool,
        open_log(settings, pool, roles.database.app) as log,
    ):
        directory = Directory(pool)
        await directory.refresh()
        program = (await RuleSets(pool).programs(1, directory.index)).active
        engine = PartitionEngine(
            program,
            partition=0,
            lateness_us=int(settings.rules.lateness_s * SECOND_US),
            expected_sources=expected_sources((placed(d, directory.ward_of) for d in directory.devices), {}),
        )
        items = in_one_order(await whole_log(log), await log.firsts(EVENTS_TOPIC))
    found: dict[str, tuple[object, ...]] = {}
    for effect in engine.on_batch(list(enumerate(items))):
        if isinstance(effect, Raised):
            found[effect.incident_id] = effect.rule, effect.key, "active"
        elif isinstance(effect, Cleared):
            found[effect.incident_id] = *found[effect.incident_id][:2], "cleared"
    return found


async def whole_log(log: Log) -> dict[int, list[Item]]:
    """Return what every partition holds."""
    ends = await log.ends(EVENTS_TOPIC)
    reader = await log.tail(EVENTS_TOPIC, dict.fromkeys(ends, 0))
    found: dict[int, list[Item]] = {number: [] for number in ends}
    async with asyncio.timeout(120):
        while any(reader.positions()[number] < end for number, end in ends.items()):
            for batch in await reader.poll(5_000, 1.0):
                found[batch.partition] += [
                    (offset, item) for offset, item in decode(batch.records) if not isinstance(item, Activate)
                ]
    return found


def in_one_order(found: dict[int, list[Item]], firsts: dict[int, int]) -> list[Event | Tick]:
    """Put the partitions' seconds behind each other, those of before the change first."""
    order: list[Event | Tick] = []
    for parts in (
        [[item for offset, item in items if offset < firsts[number]] for number, items in found.items()],
        [[item for offset, item in items if offset >= firsts[number]] for number, items in found.items()],
    ):
        seconds = [cut(items) for items in parts if items]
        ticks = {tuple(tick for _, tick in each) for each, _ in seconds}
        assert len(ticks) == 1, "every partition has the same ticks"
        for each in zip(*(cuts for cuts, _ in seconds), strict=True):
            order += sorted((event for events, _ in each for event in events), key=arrival)
            order.append(each[0][1])
        order += sorted((event for _, rest in seconds for event in rest), key=arrival)
    return order


def arrival(event: Event) -> int:
    return event.received_us


def cut(items: list[Event | Tick]) -> tuple[list[tuple[list[Event], Tick]], list[Event]]:
    """Return each tick with the events before it, and the events after the last one."""
    found: list[tuple[list[Event], Tick]] = []
    events: list[Event] = []
    for item in items:
        if isinstance(item, Tick):
            found.append((events, item))
            events = []
        else:
            events.append(item)
    return found, events
