"""A cancellation inside the client of Kafka must not end whoever called: its role would vanish silently."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from ioc.eventlog.kafka_client import asking, end_consumer, end_producer
from ioc.eventlog.port import LogUnavailable


async def cancelled_inside() -> None:
    """What aiokafka does: wait for a task of its own that was cancelled."""
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


async def nothing() -> None:
    pass


def client(**parts: Any) -> Any:
    return SimpleNamespace(stop=cancelled_inside, **parts)


async def test_a_call_whose_inner_task_was_cancelled_is_a_failed_call() -> None:
    with pytest.raises(LogUnavailable, match="was cancelled"):
        async with asking(5.0):
            await cancelled_inside()


async def test_a_client_that_cannot_stop_for_that_is_taken_apart() -> None:
    closing = SimpleNamespace(close=nothing)
    await end_consumer(client(_coordinator=SimpleNamespace(), _fetcher=None, _client=closing), 5.0)
    await end_producer(client(_sender=closing, client=closing), 5.0)


async def test_our_own_cancellation_still_ends_us() -> None:
    ended = []

    async def wait() -> None:
        try:
            async with asking(5.0):
                await asyncio.sleep(60)
        except BaseException as error:
            ended.append(type(error))
            raise

    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
    assert ended == [asyncio.CancelledError]


@pytest.mark.parametrize("end", [end_consumer, end_producer])
async def test_whoever_is_cancelled_while_taking_a_client_apart_ends_and_leaves_no_connection(
    end: Any,
) -> None:
    taking_apart, closed = asyncio.Event(), []

    async def never() -> None:
        taking_apart.set()
        await asyncio.sleep(60)

    async def close() -> None:
        closed.append(True)

    stubborn, connection = SimpleNamespace(close=never), SimpleNamespace(close=close)
    half = client(
        _coordinator=SimpleNamespace(),
        _fetcher=stubborn,
        _client=connection,
        _sender=stubborn,
        client=connection,
    )

    async def for_ever() -> None:
        await end(half, 5.0)
        await asyncio.sleep(60)

    task = asyncio.get_running_loop().create_task(for_ever())
    await taking_apart.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert task in done, "a shutdown would wait for ever"
    assert closed


@pytest.mark.parametrize("end", [end_consumer, end_producer])
async def test_a_client_that_swallows_our_cancellation_does_not_keep_us(end: Any) -> None:
    closing = asyncio.Event()

    async def swallow() -> None:
        closing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    connection = SimpleNamespace(close=swallow)
    half = client(
        _coordinator=SimpleNamespace(),
        _fetcher=None,
        _client=connection,
        _sender=connection,
        client=connection,
    )

    async def for_ever() -> None:
        await end(half, 5.0)
        await asyncio.sleep(60)

    task = asyncio.get_running_loop().create_task(for_ever())
    await closing.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    done, _ = await asyncio.wait([task], timeout=5)
    assert task in done, "a shutdown would wait for ever"
