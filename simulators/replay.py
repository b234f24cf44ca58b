"""Plays a recording to the service on the wall clock, as one camera."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import httpx

from simulators.live import FAREWELL_S, TICK_S
from simulators.outbox import Counters
from simulators.recording import Frame, length_us, recorded_events
from simulators.senders import ANSWER_S, HTTP_PARCEL, Lane, run_http
from simulators.times import SECOND_US
from simulators.world import Event

Tell = Callable[[Counters, str | None], None]


async def replay(
    frames: Sequence[Frame],
    source: str,
    *,
    url: str,
    sender: str,
    key: str,
    stop: asyncio.Event,
    every: int = 5,
    speed: float = 1.0,
    loop: bool = False,
    fps: float = 30.0,
    tell: Tell = lambda *_: None,
) -> Counters:
    """Send the recording's events as their time comes; return the totals.

    Args:
        frames: the recording.
        source: the camera it stands for.
        url: the service.
        sender: the device whose `key` is used: the camera itself or its gateway.
        key: its key.
        stop: ends the replay.
        every: thinning of `camera.object`.
        speed: 2.0 plays twice as fast.
        loop: begin again at the end; the tracker begins again too, since the pictures jump.
        fps: frames per second of the recording.
        tell: called about once a second with the totals and what keeps events from arriving, if anything.
    """
    lane = Lane(sender, HTTP_PARCEL)
    async with (
        httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        sending = group.create_task(run_http(lane, client, url, key))
        start_us = time.time_ns() // 1000
        while not stop.is_set():
            passing = recorded_events(frames, source, start_us, fps=fps, every=every, speed=speed)
            await _pass(passing, lane, stop, tell)
            start_us += round(length_us(frames, fps) / speed)
            if not loop:
                break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await lane.idle.wait()
        sending.cancel()
    tell(lane.outbox.counters, lane.trouble)
    return lane.outbox.counters


async def _pass(events: Iterator[tuple[int, Event]], lane: Lane, stop: asyncio.Event, tell: Tell) -> None:
    told = 0.0
    due: list[Event] = []
    for at_us, event in events:
        while at_us > time.time_ns() // 1000 and not stop.is_set():
            lane.put(due)
            due = []
            if time.monotonic() - told >= 1.0:
                told = time.monotonic()
                tell(lane.outbox.counters, lane.trouble)
            wait_s = min(TICK_S, max(0.001, (at_us - time.time_ns() // 1000) / SECOND_US))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stop.wait()
        if stop.is_set():
            break
        due.append(event)
    lane.put(due)
