"""The promises of `ioc.eventlog.port`, the same for every implementation."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

import pytest

from ioc.app.recordings.playback import LogPlayer, Shift
from ioc.eventlog.port import AppendOutcome, Consumer, LogOverloaded, LogReader, LogRejected, partition_of
from ioc.model.events import CameraCount, Event, decode_event
from ioc.model.records import (
    EVENTS_TOPIC,
    Activate,
    Batch,
    NewRecord,
    RecordKind,
    Tick,
    decode_control,
    decode_tick,
    encode_control,
)
from tests.contract.log_harness import (
    PARTITIONS,
    SETTINGS,
    TOPIC,
    LogHarness,
    kafka_harness,
    memory_harness,
    postgres_harness,
)
from tests.integration.eventlog.kafka_access import grant, secure_settings
from tests.integration.eventlog.kafka_city import settings_for

SOON_S = 30.0
"""Within this, or the promise is broken; nothing waits this long when it holds."""
KEYS = [f"{25_700 + number}" for number in range(12)]


@pytest.fixture(params=["memory", "postgres", "kafka", "kafka over TLS"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[LogHarness]:
    if request.param == "memory":
        opened = memory_harness()
    elif request.param == "postgres":
        opened = postgres_harness(request.getfixturevalue("database"))
    elif request.param == "kafka":
        settings = settings_for(request.getfixturevalue("kafka"))
        opened = kafka_harness(request.getfixturevalue("database"), settings)
    else:
        access = request.getfixturevalue("own_kafka")
        settings = secure_settings(access)
        grant(access, settings.prefix)
        opened = kafka_harness(request.getfixturevalue("database"), settings)
    async with opened as found:
        yield found


def events(names: Iterable[object], *, dedup: bool = True) -> list[NewRecord]:
    """Records spread over all partitions, each with its name as payload."""
    return [
        NewRecord(
            RecordKind.EVENT,
            KEYS[index % len(KEYS)],
            f"{name}".encode(),
            ("cam", f"{name}") if dedup else None,
        )
        for index, name in enumerate(names)
    ]


async def read(reader: LogReader, count: int, max_records: int = 1000) -> dict[int, list[tuple[int, str]]]:
    """Poll until `count` records have come; (offset, payload) by partition."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    async with asyncio.timeout(SOON_S):
        while sum(map(len, found.values())) < count:
            for batch in await reader.poll(max_records, 1.0):
                found[batch.partition] += [
                    (r.offset, r.payload.decode(errors="replace")) for r in batch.records
                ]
    return dict(found)


def names_in(found: dict[int, list[tuple[int, str]]]) -> list[str]:
    return sorted(name for records in found.values() for _, name in records)


async def until_assigned(consumer: Consumer, count: int) -> dict[int, int]:
    async with asyncio.timeout(SOON_S):
        while len(consumer.assigned()) != count:
            await consumer.poll(0, 0.01)
    return consumer.assigned()


def when_old() -> int:
    """An instant (µs) at which all that is in the log is older than the retention, but not the hard limit."""
    return time.time_ns() // 1000 + round(SETTINGS.retention_s * 1_000_000) + 1_000_000


async def test_records_of_a_key_keep_their_order_and_offsets_have_no_gap(harness: LogHarness) -> None:
    expected: dict[int, list[str]] = defaultdict(list)
    outcomes: list[AppendOutcome] = []
    reader = await harness.other.tail(TOPIC)
    for start in range(0, 300, 30):
        records = events(range(start, start + 30))
        outcomes += await harness.log.append(TOPIC, records)
        for record in records:
            expected[partition_of(record.key, PARTITIONS)].append(record.payload.decode())
    found = await read(reader, 300, max_records=17)
    assert {p: [name for _, name in records] for p, records in found.items()} == expected
    for items in found.values():
        assert [offset for offset, _ in items] == list(range(len(items)))
    assert {(o.partition, o.offset) for o in outcomes} == {(p, o) for p, rs in found.items() for o, _ in rs}


async def test_outcomes_follow_the_records(harness: LogHarness) -> None:
    records = events(range(40))
    outcomes = await harness.log.append(TOPIC, records)
    found = await read(await harness.log.tail(TOPIC, dict.fromkeys(range(PARTITIONS), 0)), 40)
    by_place = {(p, offset): name for p, rs in found.items() for offset, name in rs}
    assert [by_place[o.partition, o.offset or 0] for o in outcomes] == [r.payload.decode() for r in records]
    assert [o.partition for o in outcomes] == [partition_of(r.key, PARTITIONS) for r in records]


async def test_an_empty_append_is_nothing(harness: LogHarness) -> None:
    assert await harness.log.append(TOPIC, []) == []


async def test_a_repeat_is_reported_and_not_stored(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(["a", "b"]))
    outcomes = await harness.other.append(TOPIC, events(["b", "c", "c", "a", "d"]))
    assert [outcome.duplicate for outcome in outcomes] == [True, False, True, True, False]
    reader = await harness.log.tail(TOPIC, dict.fromkeys(range(PARTITIONS), 0))
    assert names_in(await read(reader, 4)) == ["a", "b", "c", "d"]
    assert sum((await harness.log.ends(TOPIC)).values()) == 4


async def test_a_record_without_dedup_key_is_never_a_repeat(harness: LogHarness) -> None:
    outcomes = await harness.log.append(TOPIC, events(["a", "a"], dedup=False))
    assert [outcome.duplicate for outcome in outcomes] == [False, False]


async def test_concurrent_repeats_are_stored_once(harness: LogHarness) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(log.append(TOPIC, events(range(50))))
            for log in (harness.log, harness.other, harness.log, harness.other)
        ]
    stored = [outcome for task in tasks for outcome in task.result() if not outcome.duplicate]
    assert len(stored) == len(set(stored)) == 50


async def test_a_topic_keeps_its_number_of_partitions(harness: LogHarness) -> None:
    assert await harness.other.create_topic(TOPIC, PARTITIONS + 3) == PARTITIONS
    with pytest.raises(LogRejected):
        await harness.log.append("no.such.topic", events("a"))


async def test_an_append_returns_only_once_it_is_durable(harness: LogHarness) -> None:
    reader = await harness.other.tail(TOPIC)
    async with asyncio.TaskGroup() as group:
        async with harness.stalled():
            append = group.create_task(harness.log.append(TOPIC, events("a")))
            assert await reader.poll(10, 0.05) == []
            assert not append.done()
        async with asyncio.timeout(SOON_S):
            await append
    # Whoever looks after the acknowledgement, finds it.
    assert sum((await harness.other.ends(TOPIC)).values()) == 1


async def test_a_consumer_starts_at_the_committed_position(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(40)))
    async with harness.log.consume(TOPIC, "store", "one") as consumer:
        first = await read(consumer, 40)
        for partition, records in first.items():
            generation = consumer.assigned()[partition]
            await harness.commit("store", partition, generation, records[0][0] + 1)
    async with harness.log.consume(TOPIC, "store", "two") as consumer:
        second = await read(consumer, 40 - len(first))
    assert second == {partition: records[1:] for partition, records in first.items() if records[1:]}


async def test_polling_commits_nothing(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(20)))
    for owner in ("one", "two"):
        async with harness.log.consume(TOPIC, "store", owner) as consumer:
            assert len(names_in(await read(consumer, 20))) == 20


async def test_a_rewound_partition_is_delivered_again_from_the_committed_position(
    harness: LogHarness,
) -> None:
    await harness.log.append(TOPIC, events(range(60)))
    async with harness.log.consume(TOPIC, "store", "one") as consumer:
        found = await read(consumer, 60, max_records=8)
        partition = max(found, key=lambda p: len(found[p]))
        await harness.commit("store", partition, consumer.assigned()[partition], 5)
        await consumer.rewind(partition)
        assert consumer.positions()[partition] == 5
        again = await read(consumer, len(found[partition]) - 5, max_records=8)
    assert again == {partition: found[partition][5:]}


async def test_groups_do_not_disturb_each_other(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(20)))
    async with (
        harness.log.consume(TOPIC, "store", "one") as store,
        harness.log.consume(TOPIC, "rules", "one") as rules,
    ):
        assert await read(store, 20) == await read(rules, 20)


async def test_a_paused_partition_waits_and_stays_assigned(harness: LogHarness) -> None:
    async with harness.log.consume(TOPIC, "store", "one") as consumer:
        await harness.log.append_ticks(TOPIC, 1)
        await read(consumer, PARTITIONS)
        consumer.pause(2)
        await harness.log.append_ticks(TOPIC, 2)
        assert sorted(await read(consumer, PARTITIONS - 1)) == [0, 1, 3]
        assert await consumer.poll(10, 0.05) == []
        assert sorted(consumer.assigned()) == [0, 1, 2, 3]
        consumer.resume(2)
        assert list(await read(consumer, 1)) == [2]


async def test_two_owners_share_the_partitions_and_lose_nothing(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(80)))
    async with harness.log.consume(TOPIC, "store", "one") as one:
        assert len(await until_assigned(one, PARTITIONS)) == PARTITIONS
        async with harness.other.consume(TOPIC, "store", "two") as two:
            first, second = await until_assigned(two, 2), await until_assigned(one, 2)
            assert sorted([*first, *second]) == list(range(PARTITIONS))
            a, b = await read(one, 1), await read(two, 1)
            for _ in range(20):
                for reader, found in ((one, a), (two, b)):
                    for batch in await reader.poll(1000, 0.01):
                        assert batch.partition in reader.assigned()
                        found.setdefault(batch.partition, []).extend(
                            (r.offset, r.payload.decode()) for r in batch.records
                        )
            assert not a.keys() & b.keys()
            assert sorted([*names_in(a), *names_in(b)]) == sorted(str(n) for n in range(80))
        assert len(await until_assigned(one, PARTITIONS)) == PARTITIONS


async def test_after_a_takeover_the_former_owner_cannot_commit(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(40)))
    dead = harness.other.consume(TOPIC, "store", "dead")
    consumer = await dead.__aenter__()
    before = consumer.assigned()
    batches = await consumer.poll(1000, 1.0)
    assert len(before) == PARTITIONS
    await harness.commit("store", batches[0].partition, batches[0].generation, 3)
    await harness.crash_other(consumer, "store", "dead")
    async with harness.log.consume(TOPIC, "store", "heir") as heir:
        after = await until_assigned(heir, PARTITIONS)
        assert all(after[partition] > before[partition] for partition in before)
        for batch in batches:
            with pytest.raises(harness.fenced):
                await harness.commit("store", batch.partition, batch.generation, batch.next_offset)
        # The heir starts where the dead owner had committed, and may commit.
        assert heir.positions()[batches[0].partition] == 3
        found = await read(heir, 37)
        for partition, records in found.items():
            await harness.commit("store", partition, after[partition], records[-1][0] + 1)


async def test_a_position_never_moves_back(harness: LogHarness) -> None:
    async with harness.log.consume(TOPIC, "store", "one") as consumer:
        generation = consumer.assigned()[0]
        await harness.commit("store", 0, generation, 7)
        with pytest.raises(harness.fenced):
            await harness.commit("store", 0, generation, 6)


async def test_ticks_reach_every_partition_once(harness: LogHarness) -> None:
    reader = await harness.log.tail(TOPIC)
    first = await harness.log.append_ticks(TOPIC, 1_000_000)
    second = await harness.other.append_ticks(TOPIC, 1_000_000)
    assert first == [AppendOutcome(number, 0) for number in range(PARTITIONS)]
    assert all(outcome.duplicate for outcome in second)
    await harness.log.append_ticks(TOPIC, 2_000_000)
    batches: list[Batch] = []
    async with asyncio.timeout(SOON_S):
        while sum(len(batch.records) for batch in batches) < 2 * PARTITIONS:
            batches += await reader.poll(100, 1.0)
    ticks: dict[int, list[int]] = defaultdict(list)
    for batch in batches:
        assert {record.kind for record in batch.records} == {RecordKind.TICK}
        ticks[batch.partition] += [decode_tick(record.payload).now_us for record in batch.records]
    assert ticks == {number: [1_000_000, 2_000_000] for number in range(PARTITIONS)}


async def test_a_replay_brings_ticks_and_events_in_order_to_every_partition_and_twice_only_once(
    harness: LogHarness,
) -> None:
    await harness.log.create_topic(EVENTS_TOPIC, PARTITIONS)
    entries: list[Event | Tick] = []
    for second in range(4):
        moment = {"time_us": second, "received_us": second, "data": CameraCount(people=second)}
        entries += [
            Event(id=f"{second}-{key}", source="cam", ward=key, **moment)  # type: ignore[arg-type]
            for key in KEYS
        ]
        entries.append(Tick(second + 1))
    for repeats in (0, 4 * len(KEYS)):
        played = await LogPlayer(harness.log, PARTITIONS).play([entries], shift=Shift(0), speed=None)
        assert played.repeats == repeats
    reader = await harness.log.tail(EVENTS_TOPIC, dict.fromkeys(range(PARTITIONS), 0))
    found: dict[int, list[Event | Tick]] = defaultdict(list)
    async with asyncio.timeout(SOON_S):
        while sum(map(len, found.values())) < 4 * (PARTITIONS + len(KEYS)):
            for batch in await reader.poll(1000, 1.0):
                for record in batch.records:
                    decode = decode_tick if record.kind is RecordKind.TICK else decode_event
                    found[batch.partition].append(decode(record.payload))
    for number in range(PARTITIONS):
        assert found[number] == [
            entry
            for entry in entries
            if isinstance(entry, Tick) or partition_of(str(entry.ward), PARTITIONS) == number
        ]


async def test_a_control_record_reaches_every_partition_once(harness: LogHarness) -> None:
    reader = await harness.log.tail(TOPIC)
    payload = encode_control(Activate(7))
    first = await harness.log.append_controls(TOPIC, payload, "rules 7")
    again = await harness.other.append_controls(TOPIC, payload, "rules 7")
    assert first == [AppendOutcome(number, 0) for number in range(PARTITIONS)]
    assert all(outcome.duplicate for outcome in again)
    batches: list[Batch] = []
    async with asyncio.timeout(SOON_S):
        while sum(len(batch.records) for batch in batches) < PARTITIONS:
            batches += await reader.poll(100, 1.0)
    found = {batch.partition: batch.records for batch in batches}
    assert sorted(found) == list(range(PARTITIONS))
    for (record,) in found.values():
        assert record.kind is RecordKind.CONTROL
        assert decode_control(record.payload) == Activate(7)


async def test_a_tail_begins_at_the_end_or_where_it_is_told(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(40)))
    ends = await harness.log.ends(TOPIC)
    from_end = await harness.other.tail(TOPIC)
    from_two = await harness.other.tail(TOPIC, dict.fromkeys(range(PARTITIONS), 2))
    assert from_end.positions() == ends
    await harness.log.append(TOPIC, events(["new"]))
    assert names_in(await read(from_end, 1)) == ["new"]
    found = await read(from_two, 41 - 2 * PARTITIONS)
    assert all(records[0][0] == 2 for records in found.values())
    assert {p: records[-1][0] + 1 for p, records in found.items()} == await harness.log.ends(TOPIC)


async def test_a_waiting_reader_wakes_for_an_append_of_another_process(harness: LogHarness) -> None:
    reader = await harness.other.tail(TOPIC)
    async with asyncio.TaskGroup() as group:
        polled = group.create_task(reader.poll(10, SOON_S))
        await harness.log.append(TOPIC, events(["a"]))
    assert [record.payload for batch in polled.result() for record in batch.records] == [b"a"]


async def test_a_poll_gives_no_more_than_asked_and_every_partition_its_share(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(120)))
    reader = await harness.log.tail(TOPIC, dict.fromkeys(range(PARTITIONS), 0))
    batches = await reader.poll(8, 1.0)
    assert [batch.partition for batch in batches] == list(range(PARTITIONS))
    assert sum(len(batch.records) for batch in batches) == 8


async def test_a_full_queue_refuses_and_loses_nothing(harness: LogHarness) -> None:
    accepted: list[asyncio.Task[list[AppendOutcome]]] = []
    async with asyncio.TaskGroup() as group, harness.stalled():
        for number in range(SETTINGS.queue_records // 10):
            names = [f"{number}-{n}" for n in range(10)]
            accepted.append(group.create_task(harness.log.append(TOPIC, events(names))))
        await asyncio.sleep(0.02)
        with pytest.raises(LogOverloaded):
            await harness.log.append(TOPIC, events(["one too many"]))
    assert all(not o.duplicate for task in accepted for o in task.result())
    assert sum((await harness.log.ends(TOPIC)).values()) == SETTINGS.queue_records
    # The refused record was not stored, so it is not a repeat either.
    assert not (await harness.log.append(TOPIC, events(["one too many"])))[0].duplicate


async def test_a_call_that_can_never_fit_is_rejected(harness: LogHarness) -> None:
    with pytest.raises(LogRejected):
        await harness.log.append(TOPIC, events(range(SETTINGS.queue_records + 1)))


async def test_retention_spares_what_a_group_has_yet_to_read(harness: LogHarness) -> None:
    day_us = 86_400_000_000
    await harness.log.append(TOPIC, events(range(60)))
    async with harness.log.consume(TOPIC, "store", "one") as consumer:
        now_us = when_old()
        assert await harness.log.retain(TOPIC, now_us) == 0
        found = await read(consumer, 60)
        for partition, records in found.items():
            await harness.commit("store", partition, consumer.assigned()[partition], records[-1][0] + 1)
        assert await harness.log.retain(TOPIC, now_us) == 60
        assert await harness.log.retain(TOPIC, now_us) == 0
        # Offsets go on where they were.
        await harness.log.append(TOPIC, events(["new"]))
        assert names_in(await read(consumer, 1)) == ["new"]
        assert not consumer.lost()
        # A group that never reads holds nothing beyond the hard limit, and is told what it lost.
        assert await harness.log.retain(TOPIC, now_us + 30 * day_us) == 1
    async with harness.other.consume(TOPIC, "store", "two") as consumer:
        await harness.log.append_ticks(TOPIC, 1)
        await read(consumer, PARTITIONS)
        assert sum(consumer.lost().values()) == 1


async def test_a_new_group_starts_at_the_earliest_record_kept(harness: LogHarness) -> None:
    await harness.log.append(TOPIC, events(range(60)))
    await harness.log.retain(TOPIC, when_old())
    await harness.log.append(TOPIC, events(["new"]))
    async with harness.log.consume(TOPIC, "late", "one") as consumer:
        assert names_in(await read(consumer, 1)) == ["new"]
        assert not consumer.lost()
