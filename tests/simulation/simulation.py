"""One seed: it decides what is sent, who works when, what goes wrong, and in which order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from random import Random
from typing import Final

import msgspec

from ioc.eventlog.memory import MemoryLog
from ioc.ingest.shedding import Level
from ioc.model.incidents import Incident
from ioc.model.times import SECOND_US
from tests.simulation.city import REVISIONS, RULES, Cities
from tests.simulation.clock import Clock
from tests.simulation.database import clear, copy_rules
from tests.simulation.faults import Faults, Trace
from tests.simulation.invariants import ALL, Broken, Decided, decided, events_in_log, events_stored
from tests.simulation.ledger import Body, Ledger
from tests.simulation.planted import BUGS
from tests.simulation.process import EndedByItself
from tests.simulation.senders import Senders
from tests.simulation.world import World, copy_of, new_log

STEPS: Final = (30, 120)
"""How many steps a run has, at least and at most."""
JUMPS_S: Final = (-3600, -30, -1, 20, 3600)
LATE_S: Final = (3, 9, 30)
TAIL_S: Final = 20
"""Seconds that tick at the end, so that what is pending comes to its decision."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a seed."""

    seed: int
    broken: tuple[str, ...]
    """What does not hold; nothing in a good run."""
    trace: str
    """Digest of all that happened: the same for the same seed."""
    events: int
    incidents: int
    faults: dict[str, int]
    seconds: float
    bug: str | None = None
    """Planted into the service."""

    @property
    def again(self) -> str:
        """The command that plays it again and says what happens."""
        planted = f" --bug {self.bug}" if self.bug else ""
        return f"python -m tests.simulation --from {self.seed} --seeds 1 --trace{planted}"


async def play(cities: Cities, seed: int, bug: str | None = None) -> tuple[Result, Trace]:
    """Play a seed, with `bug` planted into the service."""
    simulation = Simulation(cities, seed)
    with BUGS[bug]() if bug else nullcontext():
        result = await simulation.run()
    return (msgspec.structs.replace(result, bug=bug), simulation.trace)


class Simulation:
    """One run, on databases that hold nothing of another one."""

    def __init__(self, cities: Cities, seed: int) -> None:
        self.trace = Trace()
        self._cities = cities
        self._seed = seed
        self._random = Random(seed)
        self._faults = Faults(self._random, self.trace)
        self._ledger = Ledger()
        self._senders = Senders(self._random)
        self._clock = Clock()
        self._incidents: Mapping[str, Incident] = {}
        self._steps: dict[Callable[[], Awaitable[None]], float] = {
            self._send: 25,
            self._second: 25,
            self._work: 50,
            self._read: 5,
            self._resend: 5,
            self._repeat: 2,
            self._late: 1,
            self._jump: 1,
            self._load: 1,
            self._restart: 1,
            self._hand_over: 3,
            self._push: 1,
        }

    async def run(self) -> Result:
        """Play the seed to its end and say what does not hold."""
        started_s = time.perf_counter()
        with self._clock.everywhere():
            try:
                broken = await self._play()
            except* (Broken, EndedByItself) as group:
                broken = [_words(error) for error in group.exceptions]
        for line in broken:
            self.trace.note(line)
        return Result(
            seed=self._seed,
            broken=tuple(broken),
            trace=self.trace.digest(),
            events=sum(len(body.keys) for body in self._ledger.bodies),
            incidents=len(self._incidents),
            faults={str(fault): count for fault, count in sorted(self._faults.count.items())},
            seconds=round(time.perf_counter() - started_s, 3),
        )

    async def _play(self) -> list[str]:
        clear(self._cities.simulated.dsns.admin)
        log = await new_log(self._clock)
        async with asyncio.TaskGroup() as group:
            self._world = World(self._cities.simulated, log, self._clock, self._faults, self._random, group)
            self._world.add_store(2)
            self._world.add_rules(2)
            for _ in range(self._random.randint(*STEPS)):
                (step,) = self._random.choices([*self._steps], [*self._steps.values()])
                await step()
            await self._come_to_rest()
            broken = await self._contradictions()
            await self._world.end()
        return broken

    async def _come_to_rest(self) -> None:
        """Let everything come to its end without further faults."""
        self._faults.calm = True
        self.trace.note("calm")
        await self._resend()
        # Seconds that a clock put back by little shows again are no ticks: see `Pending.ticks`.
        self._clock.pass_time(self._clock.newest_us - self._clock.now_us)
        for _ in range(TAIL_S):
            await self._second()
        await self._world.settle()
        await self._world.read_feed(ALL)

    async def _contradictions(self) -> list[str]:
        world = self._world
        async with world.pool.connection() as connection:
            stored = await events_stored(connection)
            found = await decided(connection)
        self._incidents = found.incidents
        self.trace.note(f"{stored.total()} events, incidents {found.sum.sha256}")
        return [
            *self._ledger.faults(await events_in_log(world.log), stored),
            *world.feed.faults(),
            *found.faults(world.feed.seen),
            *found.differences(await self._replayed(world.log)),
        ]

    async def _replayed(self, log: MemoryLog) -> Decided:
        """Return what the rules make of the same log when nothing goes wrong."""
        clear(self._cities.replayed.dsns.admin)
        copy_rules(self._cities.simulated.dsns.admin, self._cities.replayed.dsns.admin)
        calm = Faults(Random(0), Trace())
        calm.calm = True
        async with asyncio.TaskGroup() as group:
            copy = await copy_of(log, self._clock)
            world = World(self._cities.replayed, copy, self._clock, calm, Random(0), group)
            world.add_rules(1)
            await world.settle()
            await world.end()
        async with world.pool.connection() as connection:
            return await decided(connection)

    # steps ------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """A device sends something new."""
        body = self._senders.body(self._clock.now_us)
        self._ledger.add(body)
        await self._deliver(body)

    async def _resend(self) -> None:
        """Devices send everything again that was not acknowledged."""
        for body in self._ledger.unacknowledged():
            await self._deliver(body)

    async def _repeat(self) -> None:
        """A device that forgot the acknowledgement sends something once more."""
        if known := self._ledger.acknowledged():
            await self._deliver(self._random.choice(known))

    async def _deliver(self, body: Body) -> None:
        answer = await self._world.send(body)
        told = "no answer" if answer is None else f"{answer.accepted} taken, {answer.duplicate} known"
        self.trace.note(f"body {body.number}: {told}")

    async def _second(self) -> None:
        """A second passes."""
        self._clock.pass_time(SECOND_US)
        await self._world.tick()

    async def _late(self) -> None:
        """The clock's process rests for a while; all the time makes one tick."""
        self._clock.pass_time(self._random.choice(LATE_S) * SECOND_US)
        await self._world.tick()

    async def _jump(self) -> None:
        """Somebody sets the clock."""
        span_s = self._random.choice(JUMPS_S)
        self._clock.jump(span_s * SECOND_US)
        self.trace.note(f"the clock jumps by {span_s} s")

    async def _work(self) -> None:
        """One of the processes works on."""
        process = self._random.choice(self._world.processes)
        self.trace.note(process.name)
        await process.turn()

    async def _read(self) -> None:
        """The console reads on."""
        await self._world.read_feed()

    async def _load(self) -> None:
        """Overload begins, rises or ends."""
        self._world.ingest.shedder.level = level = self._random.choice([*Level])
        self.trace.note(f"overload: {level.name}")

    async def _restart(self) -> None:
        """One of the processes is stopped; it begins anew with its next turn."""
        process = self._random.choice(self._world.processes)
        self.trace.note(f"{process.name} is stopped")
        await process.kill()

    async def _hand_over(self) -> None:
        """The partitions of one of the processes go to another one of its role."""
        process = self._random.choice(self._world.processes)
        self.trace.note(f"{process.name} gives its partitions away")
        process.give_away()

    async def _push(self) -> None:
        """An engineer pushes the rules with other numbers."""
        files = {}
        for file in sorted(RULES.glob("*.yaml")):
            files[file.name] = file.read_text("utf-8")
            for was, becomes in self._random.sample(REVISIONS, 2):
                files[file.name] = files[file.name].replace(was, becomes)
        self.trace.note("rules are pushed")
        await self._world.push(files)


def _words(error: BaseException) -> str:
    """Return what an error says, with its cause."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_words, error.exceptions))
    cause = "" if error.__cause__ is None else f": {error.__cause__!r}"
    return f"{error}{cause}"
