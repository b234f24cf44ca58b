"""Warm-ups under way: each beside the work on all other partitions, its own partition waiting for it.

A warm-up only reads. What it found takes effect when its partition goes on, between two commits of the worker
that owns it: so nothing is ever committed that has not been passed on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client import Gauge

from ioc.app.rules.partition import Item, Lane, PartitionWork, Planted

GoOn = Callable[[], Awaitable[None]]

_under_way = Gauge("ioc_rules_warming", "Partitions that wait while their next rules run over the past")


class Warmed(NamedTuple):
    """What rules that start fresh found in the past."""

    planted: Mapping[Lane, Planted] = {}
    second: list[Item] | None = None
    """For wide rules, what stands in the second of the switch; None where nothing was read."""


@dataclass(frozen=True, slots=True)
class _WarmUp:
    version: int
    task: asyncio.Task[Warmed]
    go_on: GoOn


class WarmUps:
    """The warm-ups of one worker, as tasks of `group`: one that fails ends the group."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._all: dict[int, _WarmUp] = {}

    def __contains__(self, partition: int) -> bool:
        """Return whether the partition waits."""
        return partition in self._all

    def __iter__(self) -> Iterator[int]:
        """Yield the partitions that wait."""
        return iter(self._all)

    def begin(
        self, work: PartitionWork, version: int, warm: Coroutine[Any, Any, Warmed], go_on: GoOn
    ) -> None:
        """Let `warm` run; with its result `go_on` carries the partition on."""
        work.warming = 0.0
        self._all[work.number] = _WarmUp(version, self._group.create_task(warm), go_on)
        _under_way.inc()

    def ready(self) -> list[tuple[int, GoOn]]:
        """Return the partitions that need not wait any more, and how to carry them on."""
        return [(number, item.go_on) for number, item in self._all.items() if item.task.done()]

    def result(self, work: PartitionWork, version: int) -> Warmed | None:
        """Return what the partition's warm-up for `version` found, once; None where there is none."""
        found = self._all.get(work.number)
        if found is None or found.version != version or not found.task.done():
            return None
        self.drop(work.number)
        work.warming = None
        return found.task.result()

    def drop(self, partition: int) -> None:
        """Forget a partition: another worker has it now, or its result has been taken."""
        found = self._all.pop(partition, None)
        if found is not None:
            found.task.cancel()
            _under_way.dec()

    def close(self) -> None:
        """Forget all."""
        for partition in list(self._all):
            self.drop(partition)
