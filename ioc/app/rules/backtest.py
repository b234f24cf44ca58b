"""Backtests and explanations over stored history: reads slice by slice, writes nothing."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.app.directory import Directory
from ioc.app.rules.expected import expected_sources
from ioc.model.events import Event, Stream
from ioc.model.times import MINUTE_US, SECOND_US
from ioc.rules.backtest import (
    Difference,
    Episode,
    Load,
    Replay,
    compare_within,
    load_of,
    order_of_arrival,
    warm_up_us,
)
from ioc.rules.compile import Program
from ioc.rules.engine import Failure
from ioc.rules.explain_why import Explanation, explain
from ioc.rules.machine import key_reader
from ioc.rules.rule import Rule
from ioc.store.pool import Pool
from ioc.store.replay import arrivals, read_received

SLICE_US: Final = MINUTE_US
MAX_SPAN_US: Final = 31 * 24 * 60 * MINUTE_US
MAX_OTHERS: Final = 5_000
"""Events of other keys an explanation looks at, to suggest keys."""

Connection = AsyncConnection[Any]
Progress = Callable[[float, int], None]
"""Told the share done, 0 to 1, and how many events have been read."""


class NoHistoryError(Exception):
    """There is no history of what the rules read."""


@dataclass(frozen=True)
class Span:
    """[from, to) in log time."""

    from_us: int
    to_us: int

    @property
    def hours(self) -> float:
        """Length."""
        return (self.to_us - self.from_us) / (3600 * SECOND_US)


@dataclass(frozen=True)
class Report:
    """What a backtest found."""

    span: Span
    operators: int
    episodes: Sequence[Episode]
    """The candidate's."""
    base: Sequence[Episode]
    differences: Sequence[Difference]
    loads: Mapping[str, Load]
    """The candidate's load by rule."""
    base_loads: Mapping[str, Load]
    events: int
    failures: Mapping[str, Failure]

    @property
    def floods(self) -> list[str]:
        """Rules beyond the alarm budget."""
        return [rule for rule, load in self.loads.items() if load.over_budget]


class Backtester:
    """Replays stored history through programs."""

    def __init__(self, pool: Pool, directory: Directory, lateness_s: float, operators: int) -> None:
        self._pool = pool
        self._lateness_us = int(lateness_s * SECOND_US)
        self._operators = operators
        self._expected = expected_sources(directory.known, directory.windows)

    async def span(
        self, rules: Iterable[Rule], from_us: int | None, to_us: int | None, length_us: int
    ) -> Span:
        """Return the time to replay: what is asked for, cut to what history holds.

        Raises:
            NoHistoryError: history holds nothing of it.
        """
        streams = sorted({name.partition(".")[0] for name in _types(rules)})
        async with self._reading() as connection:
            held = await arrivals(connection, [Stream(stream) for stream in streams])
        if held is None:
            raise NoHistoryError(f"no history of {', '.join(streams)}")
        end_us = min(to_us, held[1] + SECOND_US) if to_us is not None else held[1] + SECOND_US
        begin_us = max(from_us if from_us is not None else end_us - length_us, held[0])
        if begin_us >= end_us:
            raise NoHistoryError("history holds nothing of that time")
        if end_us - begin_us > MAX_SPAN_US:
            raise NoHistoryError("a backtest covers at most 31 days")
        return Span(begin_us, end_us)

    async def run(self, candidate: Program, base: Program | None, span: Span, progress: Progress) -> Report:
        """Replay both programs over `span`, in one pass, with time before it to warm up."""
        programs = [candidate] if base is None else [candidate, base]
        rules = [compiled.rule for program in programs for compiled in program.rules]
        begin_us = span.from_us - warm_up_us(rules)
        replays = [
            Replay(program, begin_us=begin_us, expected=self._expected, lateness_us=self._lateness_us)
            for program in programs
        ]
        events = 0
        async for found, until_us in self._slices(_types(rules), begin_us, span.to_us):
            events += len(found)
            for replay in replays:
                replay.take(found, until_us)
            progress((until_us - begin_us) / (span.to_us - begin_us), events)
        episodes = [replay.episodes(span.from_us, span.to_us) for replay in replays]
        before = episodes[1] if base is not None else []
        began = [replay.episodes(begin_us, span.to_us) for replay in replays]
        return Report(
            span=span,
            operators=self._operators,
            episodes=episodes[0],
            base=before,
            differences=compare_within(
                began[1] if base is not None else [],
                began[0],
                from_us=span.from_us,
                until_us=span.to_us,
            ),
            loads=self._loads(candidate, episodes[0], span),
            base_loads=self._loads(base, before, span) if base is not None else {},
            events=events,
            failures=replays[0].failures,
        )

    def _loads(self, program: Program, episodes: Sequence[Episode], span: Span) -> dict[str, Load]:
        return {
            compiled.rule.name: load_of(
                [episode for episode in episodes if episode.rule == compiled.rule.name],
                span.from_us,
                span.to_us,
                self._operators,
            )
            for compiled in program.rules
        }

    async def why(self, program: Program, rule: Rule, key: str, at_us: int) -> Explanation:
        """Explain `rule`, which `program` holds, for `key` at `at_us`."""
        begin_us = at_us - 2 * warm_up_us([rule])
        events: list[Event] = []
        read, others = key_reader(rule.by), 0
        async for found, _ in self._slices(_types([rule]), begin_us, at_us + 1):
            for event in found:
                own = read(event) == key
                others += not own
                if own or others <= MAX_OTHERS:
                    events.append(event)
        return explain(
            program,
            rule.name,
            key,
            at_us,
            events,
            begin_us=begin_us,
            expected=self._expected,
            lateness_us=self._lateness_us,
        )

    async def _slices(
        self, types: Sequence[str], from_us: int, to_us: int
    ) -> AsyncIterator[tuple[list[Event], int]]:
        async with self._reading() as connection:
            begin_us = from_us
            while begin_us < to_us:
                until_us = min(begin_us + SLICE_US, to_us)
                yield order_of_arrival(await read_received(connection, types, begin_us, until_us)), until_us
                begin_us = until_us

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """Borrow a connection that the database keeps from writing."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION READ ONLY")
            yield connection


def _types(rules: Iterable[Rule]) -> list[str]:
    return sorted({name for rule in rules for name in rule.listens})
