"""Processes, played turn by turn: at any moment one of them works, from one poll of its log to the next."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import NoReturn

from psycopg import AsyncConnection, OperationalError

from ioc.eventlog.port import LogUnavailable
from tests.simulation.faults import Fault, Faults, Point
from tests.simulation.shares import Shares


class EndedByItself(Exception):
    """A role ended without having been told to: its process would have died of it."""


class Host(ABC):
    """Whatever uses log and database under a name; faults happen to it."""

    def __init__(self, name: str, faults: Faults) -> None:
        self.name = name
        self._faults = faults

    async def reach(self, point: Point, connection: AsyncConnection[object] | None = None) -> None:
        """Let happen what goes wrong here, if anything."""
        match self._faults.at(point, self.name):
            case Fault.REFUSED:
                raise LogUnavailable("the log is away")
            case Fault.UNANSWERED | Fault.CUT:
                _cut(connection)
            case Fault.KILLED:
                await self._die(connection)
            case Fault.TAKEN_OVER:
                await self._lose_partitions()
            case Fault.LAPSED:
                self._lapse()

    @abstractmethod
    async def _die(self, connection: AsyncConnection[object] | None) -> None: ...

    @abstractmethod
    async def _lose_partitions(self) -> None: ...

    @abstractmethod
    def _lapse(self) -> None: ...


class Visitor(Host):
    """A host that takes no turns and owns no partitions: who asks it sees its death as a lost answer."""

    async def _die(self, connection: AsyncConnection[object] | None) -> None:
        _cut(connection)

    async def _lose_partitions(self) -> None:
        pass

    def _lapse(self) -> None:
        pass


class Process(Host):
    """A process of one role. It lives from its first turn on, and after a death from the next one."""

    def __init__(
        self,
        name: str,
        faults: Faults,
        shares: Shares,
        group: asyncio.TaskGroup,
        role: Callable[["Process"], Awaitable[None]],
        watch: Callable[[str], Awaitable[None]],
    ) -> None:
        """Begin dead; `watch` is called with the name of whoever has worked since it was called last."""
        super().__init__(name, faults)
        self.rival: Process | None = None
        """The other process of the same role."""
        self._shares = shares
        self._group = group
        self._role = role
        self._watch = watch
        self._task: asyncio.Task[None] | None = None
        self._go = asyncio.Event()
        self._rests = asyncio.Event()
        self._rests.set()
        self._error: Exception | None = None

    async def turn(self) -> None:
        """Work until the next poll, or to death.

        Raises:
            EndedByItself: the role has ended, though nobody killed it.
        """
        if not self._rests.is_set():  # a rival's turn within its own
            return
        self._rests.clear()
        self._go.set()
        if self._task is None:
            self._task = self._group.create_task(self._live(), name=self.name)
        await self._rests.wait()
        await self._watch(self.name)
        if self._error is not None:
            raise EndedByItself(self.name) from self._error

    async def at_poll(self) -> None:
        """Rest until the next turn."""
        if not self._go.is_set():  # it is at the first poll of a life
            self._rests.set()
        await self._go.wait()
        self._go.clear()
        await self.reach(Point.AT_POLL)

    def give_away(self) -> None:
        """Let its rival have its partitions; it learns of that at its next poll."""
        if self.rival is not None:
            self._shares.move(self.name, self.rival.name)

    async def kill(self) -> None:
        """End it between two turns, if it lives."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            await self._role(self)
        except Exception as error:
            self._error = error
        finally:
            self._task = None
            self._go.clear()
            self._rests.set()

    async def _die(self, connection: AsyncConnection[object] | None) -> NoReturn:
        if connection is not None:
            connection.pgconn.finish()  # the dead roll nothing back
        assert self._task is not None
        self._task.cancel()
        await asyncio.sleep(0)
        raise AssertionError("the dead do nothing")

    async def _lose_partitions(self) -> None:
        if self.rival is not None:
            await self._watch(self.name)
            self.give_away()
            await self.rival.turn()

    def _lapse(self) -> None:
        self._shares.lapse(self.name)


def _cut(connection: AsyncConnection[object] | None) -> NoReturn:
    if connection is None:
        raise LogUnavailable("no answer")
    connection.pgconn.finish()
    raise OperationalError("the connection is lost")
