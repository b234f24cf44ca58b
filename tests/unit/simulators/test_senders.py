"""The MQTT lane against a broker that goes away: it tries again, and says nothing it cannot help."""

import asyncio
import gc

import pytest

from simulators import senders
from simulators.senders import Lane, run_mqtt


async def test_a_broker_that_goes_away_leaves_no_unretrieved_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(senders, "ANSWER_S", 0.3)
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK: accepted
        await reader.read(1024)  # the publish, never acknowledged
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def lose_the_broker() -> Lane:
        lane = Lane("gw-1", parcel=1)
        lane.put([{"id": "1"}])
        async with server, asyncio.TaskGroup() as group:
            task = group.create_task(run_mqtt(lane, "127.0.0.1", port, "k"))
            while lane.trouble is None:  # noqa: ASYNC110 - the lane has no event for this
                await asyncio.sleep(0.01)
            task.cancel()
        return lane

    async with asyncio.timeout(10):
        lane = await lose_the_broker()
    assert lane.outbox.counters.acked == 0
    gc.collect()  # asyncio complains when the future is thrown away
    await asyncio.sleep(0)
    assert not complaints
