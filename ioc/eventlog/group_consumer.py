"""A member of a group on the embedded log: its partitions follow the leases."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

from ioc.eventlog.batch_reader import BatchReader, PartitionState, Source
from ioc.eventlog.membership import Member
from ioc.eventlog.port import Claim, LogUnavailable


class LeaseKeeper(Source, Protocol):
    """The log that a consumer belongs to: it beats for every consumer in `consumers`."""

    consumers: "set[GroupConsumer]"

    async def check_layout(self) -> None:
        """Raise `LogRejected` where partitions were added that this process does not know of."""
        ...


class GroupConsumer(BatchReader):
    """`Consumer` over leases. Enter it to join the group, leave it to give the partitions back."""

    def __init__(self, log: LeaseKeeper, topic: str, member: Member, lease_s: float) -> None:
        super().__init__(log, topic, {})
        self._log = log
        self._member = member
        self._lease_s = lease_s
        self._leased_until = 0.0
        self._lapsed = True  # no lease yet
        self._beating = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.beat(joining=True)
        self._log.consumers.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.consumers.discard(self)
        async with self._beating:
            self._states = {}
            try:
                async with self._source.connection() as connection:
                    await self._member.leave(connection)
            except LogUnavailable:
                return  # the lease ends by itself

    def assigned(self) -> dict[int, int]:
        """Return the generation of each partition owned now."""
        return {partition: state.generation for partition, state in self._current().items()}

    async def rewind(self, partition: int) -> None:
        """Go back to the committed position; see `Consumer.rewind`."""
        async with self._beating:
            async with self._source.connection() as connection:
                claim = await self._member.committed(connection, partition)
            former = self._states.pop(partition, None)
            if claim is not None:
                lost = former.lost if former else 0
                self._states[partition] = PartitionState(claim.generation, claim.next_offset, lost)

    def pause(self, partition: int) -> None:
        """Deliver nothing more from `partition` for now."""
        self._paused.add(partition)

    def resume(self, partition: int) -> None:
        """Undo `pause`."""
        self._paused.discard(partition)
        self._source.wakeup.wake()

    async def beat(self, *, joining: bool = False) -> None:
        """Extend the lease and take over what is owned now.

        Raises:
            LogUnavailable: the lease was not extended.
        """
        async with self._beating:
            started = asyncio.get_running_loop().time()
            async with self._source.connection() as connection:
                if joining:
                    await self._member.enter(connection)
                await self._member.renew(connection)
                # It may have run out while we waited for the database, and our user been told so: what was
                # delivered then is lost to them, so the partitions must come back anew.
                self._current()
                expired = self._lapsed
                if not expired:
                    self._leased_until = started + self._lease_s
                owned = await self._member.rebalance(connection, expired=expired)
            await self._log.check_layout()  # behind the claims: whoever adds partitions takes those away
            self._assign(owned)
            self._leased_until = started + self._lease_s
            self._lapsed = False

    def _assign(self, owned: dict[int, Claim]) -> None:
        states = {}
        for partition, claim in owned.items():
            state = self._states.get(partition)
            if state is None or state.generation != claim.generation:
                state = PartitionState(claim.generation, claim.next_offset)
            states[partition] = state
        changed = states.keys() != self._states.keys()
        self._states = states
        self._paused &= states.keys()
        if changed:
            self._source.wakeup.wake()

    def _current(self) -> dict[int, PartitionState]:
        # An unrenewed lease may already be somebody else's: delivering would only be fenced later.
        if asyncio.get_running_loop().time() >= self._leased_until:
            self._lapsed = True
        return {} if self._lapsed else self._states
