"""Warming reshaped and new rules: they run over the log's past before they go live, and raise nothing in it.

    fresh = rules_to_warm(engine, program)         what would start fresh
    past = WarmUp(fresh, partition=3)
    past.take(items)                               the records before the activation, in log order
    engine.adopt(program); engine.plant(*past.result())

What is open at the end is raised at the activation, with the time at which it began. Rules of silence are
left out: they know who should talk from the registry, and count from their start.
"""

from collections.abc import Sequence

import msgspec

from ioc.model.events import Event
from ioc.model.incidents import Raised, Updated
from ioc.model.records import Tick
from ioc.rules.compile import Program, only
from ioc.rules.engine import DEFAULT_LATENESS_US, DEFAULT_MAX_KEYS, PartitionEngine
from ioc.rules.state import StateChange


def rules_to_warm(engine: PartitionEngine, program: Program) -> Program:
    """Return the rules of `program` of which `engine` has no state to keep."""
    running = {item.rule.name: item.rule.shape for item in engine.program.rules}
    rules = [item.rule for item in program.rules if item.rule.absence_us is None]
    return only(program, {rule.name for rule in rules if running.get(rule.name) != rule.shape})


class WarmUp:
    """Runs a program over records that lie before its activation."""

    def __init__(
        self,
        program: Program,
        *,
        partition: int,
        lateness_us: int = DEFAULT_LATENESS_US,
        max_keys: int = DEFAULT_MAX_KEYS,
    ) -> None:
        self._engine = PartitionEngine(
            program, partition=partition, lateness_us=lateness_us, max_keys=max_keys
        )
        self._open: dict[str, Raised] = {}

    def take(self, items: Sequence[tuple[int, Event | Tick]]) -> None:
        """Apply consecutive records."""
        for effect in self._engine.on_batch(items):
            if isinstance(effect, Raised):
                self._open[effect.incident_id] = effect
            elif isinstance(effect, Updated):
                self._open[effect.incident_id] = msgspec.structs.replace(
                    self._open[effect.incident_id],
                    severity=effect.severity,
                    why=effect.why,
                    count=effect.count,
                )
            else:
                del self._open[effect.incident_id]

    def result(self) -> tuple[list[StateChange], list[Raised]]:
        """Return the state reached and what is open, without the rules that failed: they begin fresh."""
        failed = self._engine.failures
        rows = [row for row in self._engine.drain_changes() if row.rule and row.rule not in failed]
        return rows, [raised for raised in self._open.values() if raised.rule not in failed]
