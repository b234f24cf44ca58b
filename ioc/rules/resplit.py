"""Another number of partitions: where the state of each key goes on.

A partition is what its keys' records hash to, so with another number every partition's keys spread over
those that share its remainder by the common divisor of both numbers:

    4 → 8    partition 1 becomes 1 and 5             each new one has one source
    4 → 6    partition 1 becomes 1, 3 and 5          each new one has two sources, which are merged

All partitions must have come to the same end of the log. Then the engines that begin with this state go on
as those that wrote it would have gone on (property test): a key's state depends on its own records and the
ticks only, and ticks are in every partition.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import gcd

from msgspec.structs import replace

from ioc.rules.state import (
    AnyState,
    EngineState,
    OrderedState,
    PackedSpell,
    QuietState,
    decode_state,
    encode,
    engine_decoder,
    seen_in,
)
from ioc.rules.wide_forward import route_key

PartitionOf = Callable[[str, int], int]
"""(record key, number of partitions) → partition."""
Rows = Mapping[int, bytes]
"""Stored state by partition."""


class Resplit:
    """The state of one topic's engines (active or shadow), from `former` to `partitions`."""

    def __init__(self, former: int, partitions: int, engines: Rows, partition_of: PartitionOf) -> None:
        """Begin with the engines' own rows; a partition that never had a record has none."""
        self._former = former
        self._partitions = partitions
        self._engines = {number: engine_decoder.decode(data) for number, data in engines.items()}
        self._partition_of = partition_of

    def sources(self, partition: int) -> list[int]:
        """Return the former partitions whose keys may come to be in `partition`."""
        step = gcd(self._former, self._partitions)
        return list(range(partition % step, self._former, step))

    def engines(self) -> dict[int, bytes]:
        """Return the engines' own rows, by new partition."""
        return {
            number: encode(_merged(found))
            for number in range(self._partitions)
            if (
                found := [self._engines[source] for source in self.sources(number) if source in self._engines]
            )
        }

    def local(self, held: Rows, names: Iterable[str]) -> dict[int, bytes]:
        """Return where the state of one key of a local rule goes on.

        Events came to a partition by their ward, or source where they had none. `names` are what the key
        itself says of that. A row that names no such place cannot fire by time alone, since an incident needs
        a place; it goes to every partition that its own becomes, and whichever gets the key's next event goes
        on from it.

        Args:
            held: the key's rows. A device that has moved may have several, of which one partition keeps one.
            names: wards and sources that may be the key's, the likeliest first.
        """
        names = list(names)
        found: dict[int, list[tuple[AnyState, bytes]]] = {}
        for source, data in sorted(held.items()):
            state = decode_state(data)
            for target in self._targets(source, state, names):
                found.setdefault(target, []).append(self._in_time(source, target, state, data))
        return {target: max(rows, key=lambda row: _newest(row[0]))[1] for target, rows in found.items()}

    def wide(self, held: Rows, names: Sequence[str] | None, key: str) -> dict[int, bytes]:
        """Return where the state of one key of a wide rule goes on, whose key has the fields `names`.

        The state of a rule that is gone (None) stays: whichever engine finds it ends it.
        """
        if names is None:
            return dict(held)
        target = self._partition_of(route_key(names, key), self._partitions)
        rows = [
            self._in_time(source, target, decode_state(data), data) for source, data in sorted(held.items())
        ]
        return {target: max(rows, key=lambda row: _newest(row[0]))[1]}

    def _targets(self, source: int, state: AnyState, names: Sequence[str]) -> Sequence[int]:
        seen = [name for each in seen_in(state) if (name := each.ward or each.source) is not None]
        for name in [*seen, *names]:
            if self._partition_of(name, self._former) == source:
                return [self._partition_of(name, self._partitions)]
        if state.episode is not None:  # two would end it twice
            return [self._partition_of(seen[0], self._partitions) if seen else source]
        return [number for number in range(self._partitions) if source in self.sources(number)]

    def _in_time(self, source: int, target: int, state: AnyState, data: bytes) -> tuple[AnyState, bytes]:
        """Let silence heard on one partition's clock go on by another's."""
        if isinstance(state, QuietState) and source in self._engines:
            ahead_us = self._silence_us(target) - self._engines[source].silence_us
            if ahead_us:
                state = replace(state, heard_us=state.heard_us + ahead_us)
                return state, encode(state)
        return state, data

    def _silence_us(self, target: int) -> int:
        return max(self._engines[each].silence_us for each in self.sources(target) if each in self._engines)


def _merged(engines: Sequence[EngineState]) -> EngineState:
    first = engines[0]
    # Switched off only where every source had switched it off: else keys would lose a rule that worked.
    failed = {
        rule: min((each.failed[rule] for each in engines), key=lambda failure: failure[1])
        for rule in first.failed
        if all(rule in each.failed for each in engines)
    }
    return EngineState(
        max((each.now_us for each in engines if each.now_us is not None), default=None),
        max(each.watermark_us for each in engines),
        max(each.silence_us for each in engines),
        first.shapes,
        failed,
    )


def _newest(state: AnyState) -> tuple[bool, int, int]:
    """Order rows of one key: an open episode first, then by the newest event."""
    episode = state.episode
    return episode is not None, episode.opened_us if episode else 0, _heard_us(state)


def _heard_us(state: AnyState) -> int:
    if isinstance(state, PackedSpell):
        return max(state.clock_us, state.last_us, *(item.time_us for item in state.waiting))
    if isinstance(state, OrderedState):
        seen_us = (getattr(state, name, state.last_us) for name in ("seen_us", "read_us"))
        return max(state.last_us, *seen_us, *(item.time_us for item in state.waiting))
    return state.heard_us
