"""Adding partitions to the log: everything that follows from their number changes in one transaction.

With all roles stopped, the log is taken whole first (`log_drain`): then nothing refers to what the former
number placed, and only what is remembered has to move. The transaction keeps appends out, sees that nothing
is left, adds the partitions, moves the rules' state, positions and layout, and gives each partition a new
generation. Killed before it commits, everything is as it was, but for Kafka, which may have the new
partitions already; a start says so and this command, run again, goes on from there.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

from ioc.app.directory import Directory
from ioc.app.eventlog.drain import READERS, Drain, DrainError, Log, Tell
from ioc.app.rules.expected import placed
from ioc.app.rules.partition import SHADOW_MARK
from ioc.app.rules.sets import Programs, RuleSets
from ioc.app.rules.wide_outlet import PASSED_KEY
from ioc.app.rules.wide_worker import DONE_KEY
from ioc.app.settings import Settings
from ioc.eventlog.layout import change_layout
from ioc.eventlog.origin import check_origin
from ioc.eventlog.port import partition_of
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.rules.machine import key_parts
from ioc.rules.resplit import Resplit
from ioc.rules.rule import Rule
from ioc.store.pool import Pool
from ioc.store.positions import behind, grow_positions
from ioc.store.rule_moves import SLICE_ROWS, count_state, engines_own, keyed_state, place, turn
from ioc.store.rule_versions import read_activation

TOPICS: Final = (EVENTS_TOPIC, WIDE_TOPIC)
MOMENTS: Final = {EVENTS_TOPIC: PASSED_KEY, WIDE_TOPIC: DONE_KEY}
"""What each stage remembers of the ticks."""
ENGINE: Final = ("", "")
SHADOWS: Final = (SHADOW_MARK, "")

Connection = AsyncConnection[Any]


class PartitionsError(Exception):
    """Partitions cannot be added as things are; nothing was changed. The message says what to do."""


class Added(NamedTuple):
    """What was done to one topic."""

    topic: str
    former: int
    partitions: int
    rows: int
    """State that was looked at."""


class PartitionAdder:
    """Gives the log more partitions. No role may run meanwhile; what one still did would be fenced."""

    def __init__(self, settings: Settings, log: Log, pool: Pool, tell: Tell) -> None:
        self._settings = settings
        self._log = log
        self._pool = pool
        self._tell = tell
        self._directory = Directory(pool)
        self._rules = RuleSets(pool)

    async def former(self, partitions: int) -> dict[str, int]:
        """Return the number of partitions of each topic that is to get `partitions`; empty where none is.

        Raises:
            PartitionsError: there is no log yet, or it has more.
            LogError: the log cannot be reached, or is another than the database's.
        """
        async with self._pool.connection() as connection:
            await check_origin(connection, await self._log.origin())
        found = {topic: len(await self._log.firsts(topic)) for topic in TOPICS}
        if not all(found.values()):
            raise PartitionsError(
                f"there is no log yet: set log.partitions to {partitions}, the first start makes it so"
            )
        if (most := max(found.values())) > partitions:
            raise PartitionsError(
                f"the log has {most} partitions, and never gets fewer: Kafka takes none away, and what lies "
                f"in one could not keep its order elsewhere. A log with {partitions} has to be a new one, "
                "under another log.prefix and with an empty database"
            )
        if self._settings.replay.enabled:
            raise PartitionsError(
                "with replay.enabled the sender tells the time, so nothing may close the log"
            )
        return {topic: number for topic, number in found.items() if number < partitions}

    async def add(self, partitions: int) -> list[Added]:
        """Take the log whole, add partitions and return what was done.

        Raises:
            PartitionsError: as `former`, or something is not as it must be; nothing was changed.
        """
        former = await self.former(partitions)
        if not former:
            return []
        await self._directory.refresh()
        drain = Drain(self._settings, self._log, self._pool, self._directory, self._rules, self._tell)
        try:
            await drain.wait_alone()
            await drain.run()
        except DrainError as error:
            raise PartitionsError(str(error)) from error
        try:
            async with self._pool.connection() as connection, connection.transaction():
                return await self._change(connection, former, partitions)
        except LockNotAvailable as error:
            raise PartitionsError(
                "something still appends or commits: stop every role, then try again"
            ) from error

    async def _change(self, connection: Connection, former: dict[str, int], partitions: int) -> list[Added]:
        for setting, value in (
            ("lock_timeout", "20s"),
            ("statement_timeout", "30min"),
            ("idle_in_transaction_session_timeout", "30min"),
        ):
            await connection.execute("SELECT set_config(%s, %s, true)", (setting, value))
        await self._log.hold_appends(connection, TOPICS)
        await connection.execute("LOCK TABLE log_owner IN SHARE ROW EXCLUSIVE MODE")
        ends = {topic: await self._log.ends(topic) for topic in TOPICS}
        await _refuse_undrained(connection, ends)
        version = await _one_version(connection, {topic: len(ends[topic]) for topic in TOPICS})
        programs = await self._rules.programs(version, self._directory.index)
        done: list[Added] = []
        for topic, number in former.items():
            self._tell(f"adding partitions to {topic}", 0, 0)
            await self._log.add_partitions(connection, topic, partitions)
            rows = await self._move(connection, topic, number, partitions, programs)
            await grow_positions(connection, topic, number, partitions)
            added = dict.fromkeys(range(number, partitions), 0)
            await change_layout(connection, topic, {**ends[topic], **added})
            done.append(Added(topic, number, partitions, rows))
        self._tell("committing", 0, 0)
        return done

    async def _move(
        self, connection: Connection, topic: str, former: int, partitions: int, programs: Programs
    ) -> int:
        own = await engines_own(connection, topic, SHADOW_MARK)
        moment = _one_moment(topic, own.get(("", MOMENTS[topic]), {}), former)
        lanes = {
            mark: Resplit(former, partitions, own.get((mark, ""), {}), partition_of)
            for mark in ("", SHADOW_MARK)
        }
        await place(connection, topic, [(n, "", MOMENTS[topic], moment) for n in range(partitions)])
        for mark, lane in lanes.items():
            await place(connection, topic, [(n, mark, "", data) for n, data in lane.engines().items()])
        known = _Known(programs, self._directory)
        whole, looked_at = await count_state(connection, topic), 0
        moved: list[tuple[int, str, str, bytes]] = []
        async for rule, key, rows in keyed_state(connection, topic, SHADOW_MARK):
            lane = lanes[SHADOW_MARK if rule.startswith(SHADOW_MARK) else ""]
            if topic == WIDE_TOPIC:
                found = lane.wide(rows, known.fields(rule), key)
            else:
                found = lane.local(rows, known.places(rule, key))
            moved += [(number, rule, key, data) for number, data in found.items()]
            looked_at += len(rows)
            if len(moved) >= SLICE_ROWS:
                await place(connection, topic, moved)
                moved = []
                self._tell(f"moving the rules' state of {topic}", looked_at, whole)
        await place(connection, topic, moved)
        await turn(connection, topic, former, partitions)
        return looked_at


class _Known:
    """What the rules in force and the registry say of a stored key."""

    def __init__(self, programs: Programs, directory: Directory) -> None:
        self._rules: dict[str, Rule] = {
            mark + compiled.rule.name: compiled.rule
            for mark, program in (("", programs.active), (SHADOW_MARK, programs.shadow))
            for compiled in program.rules
        }
        self._wards = {device.id: placed(device, directory.ward_of).ward for device in directory.known}

    def fields(self, rule: str) -> list[str] | None:
        """Return the names of the fields a rule is keyed by; None where there is no such rule."""
        return [field.name for field in self._rules[rule].by] if rule in self._rules else None

    def places(self, rule: str, key: str) -> Iterator[str]:
        """Yield what may have decided the partition of a key's records."""
        fields = self.fields(rule) or []
        parts = key_parts(key) if len(fields) > 1 else [key]
        if len(parts) != len(fields):  # shortened
            return
        for field, part in zip(fields, parts, strict=True):
            if field == "ward":
                yield part
            elif field == "source":
                if ward := self._wards.get(part):
                    yield ward
                yield part


async def _refuse_undrained(connection: Connection, ends: dict[str, dict[int, int]]) -> None:
    for topic, group in READERS:
        if left := await behind(connection, topic, group, ends[topic]):
            raise PartitionsError(
                f"{group} are {left} records of {topic} behind again: something still appends. Stop every "
                "role, then try again"
            )


async def _one_version(connection: Connection, partitions: dict[str, int]) -> int:
    found = {
        f"{topic}/{number}": await read_activation(connection, topic, number)
        for topic, count in partitions.items()
        for number in range(count)
    }
    if len(versions := set(found.values())) != 1:
        running = ", ".join(f"{place} {version}" for place, version in found.items())
        raise PartitionsError(
            f"partitions run several versions of the rules ({running}): `ioc rules push` again"
        )
    return versions.pop()


def _one_moment(topic: str, found: dict[int, bytes], partitions: int) -> bytes:
    if len(found) < partitions or len(set(found.values())) != 1:
        moments = {number: msgspec.msgpack.decode(data) for number, data in sorted(found.items())}
        raise PartitionsError(
            f"the partitions of {topic} have not come to the same tick: {moments}. Try again"
        )
    return next(iter(found.values()))
