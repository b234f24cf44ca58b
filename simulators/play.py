"""Plays a recording to the service through the front door, at its pace, faster, or as fast as it is taken."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from simulators.events_file import EventsFileError, Recorded
from simulators.front_door import FrontDoor, Sent, Stopped
from simulators.senders import HTTP_PARCEL, json_bytes
from simulators.times import SECOND_US

SECOND = timedelta(seconds=1)


class Played(Sent):
    """What was sent, and what could not be: events of sources for which no key was given."""

    seconds: int = 0
    stopped: bool = False
    """Whether it was stopped before the recording's end."""
    unsendable: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the service has all of the recording."""
        return self.all_taken and not self.stopped and not self.unsendable


class Moved(msgspec.Struct, frozen=True):
    """How far times move; whole seconds."""

    seconds: int

    def __call__(self, line: Recorded) -> bytes:
        """Return the line as it is sent: with another id, since the service may know its own already."""
        if not self.seconds:
            return line.raw
        event = msgspec.json.decode(line.raw)
        moment = msgspec.convert(event["time"], datetime) + self.seconds * SECOND
        event |= {"id": f"{event['id']}~{self.seconds}", "time": moment.isoformat()}
        return json_bytes(event)


def moved_to_now(first_us: int, last_us: int, now_us: int, speed: float | None) -> Moved:
    """Return the shift after which no event lies ahead of the clock when it is sent.

    At the speed 1 the first is of now; faster, the last one is of the moment at which it is sent.
    """
    length_us = last_us - first_us
    playing_us = 0 if speed is None else round(length_us / speed)
    return Moved((now_us + min(0, playing_us - length_us) - first_us) // SECOND_US)


def span_of(lines: Iterable[Recorded]) -> tuple[int, int]:
    """Return the first and the last time of a recording.

    Raises:
        EventsFileError: it holds nothing.
    """
    first = last = None
    for line in lines:
        first, last = line.at_us if first is None else first, line.at_us
    if first is None or last is None:
        raise EventsFileError("the recording holds nothing")
    return first, last


class Player:
    """One replay in progress.

    Args:
        door: where everything goes.
        sender_of: the device that speaks for a source; None where no key is known.
        keeper: the device that tells the time, where the service takes it from us; None where it has its own.
        moved: how far times move.
        speed: 2.0 plays twice as fast; None as fast as it is taken.
    """

    def __init__(
        self,
        door: FrontDoor,
        sender_of: Callable[[str], str | None],
        *,
        keeper: str | None,
        moved: Moved,
        speed: float | None,
    ) -> None:
        self._door = door
        self._sender_of = sender_of
        self._keeper = keeper
        self._moved = moved
        self._speed = speed
        self._waiting: dict[str, list[bytes]] = {}
        self.played = Played()

    async def play(
        self, lines: Iterable[Recorded], stop: asyncio.Event, told: Callable[[Played], None]
    ) -> Played:
        """Send all, second by second, each behind the time that was told for it.

        Raises:
            FrontDoorError: the service does not take it.
        """
        try:
            await self._play(lines, stop, told)
        except Stopped:
            self.played.stopped = True
        return self.played

    async def _play(
        self, lines: Iterable[Recorded], stop: asyncio.Event, told: Callable[[Played], None]
    ) -> None:
        began_s, first_us, second = time.monotonic(), None, None
        for line in lines:
            if second is None or line.at_us // SECOND_US > second or line.is_tick:
                await self._flush()
                told(self.played)
                first_us = line.at_us if first_us is None else first_us
                await self._wait(began_s, line.at_us - first_us, stop)
                if stop.is_set():
                    raise Stopped
                if self._keeper is not None and (second is None or line.is_tick):
                    at_us = line.at_us // SECOND_US * SECOND_US + self._moved.seconds * SECOND_US
                    await self._door.tell_time(self._keeper, at_us)
                self.played.seconds += second is None or line.at_us // SECOND_US > second
                second = line.at_us // SECOND_US
            if not line.is_tick:
                await self._take(line)
        await self._flush()
        told(self.played)

    async def _take(self, line: Recorded) -> None:
        sender = self._sender_of(line.source)
        if sender is None:
            self.played.unsendable[line.source] = self.played.unsendable.get(line.source, 0) + 1
            return
        waiting = self._waiting.setdefault(sender, [])
        waiting.append(self._moved(line))
        if len(waiting) >= HTTP_PARCEL:
            await self._send(sender, self._waiting.pop(sender))

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for sender, lines in sorted(waiting.items()):
            await self._send(sender, lines)

    async def _send(self, sender: str, lines: list[bytes]) -> None:
        receipt = await self._door.send(sender, b"\n".join(lines) + b"\n", len(lines))
        self.played.add(receipt, len(lines))

    async def _wait(self, began_s: float, offset_us: int, stop: asyncio.Event) -> None:
        if self._speed is None:
            return
        left_s = began_s + offset_us / SECOND_US / self._speed - time.monotonic()
        if left_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await stop.wait()


def senders(keys: Mapping[str, str], speaks_for: Callable[[str], str]) -> Callable[[str], str | None]:
    """Return who speaks for a source: itself where it has a key, else its gateway, else nobody."""
    known: dict[str, str | None] = {}

    def sender_of(source: str) -> str | None:
        if source not in known:
            gateway = speaks_for(source)
            known[source] = source if source in keys else gateway if gateway in keys else None
        return known[source]

    return sender_of
