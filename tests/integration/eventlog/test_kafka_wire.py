"""Kafka's protocol without a broker of one's own: librdkafka's mock cluster, three brokers in this process.

It has neither offsets by time nor deletion nor sessions; what needs them is tested over a real broker only.
"""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from ioc.eventlog.port import LogUnavailable
from ioc.store.embedded import Dsns
from tests.integration.eventlog.kafka_city import (
    PARTITIONS,
    TOPIC,
    append_surely,
    events,
    read_names,
    running_log,
    settings_for,
)


@pytest.fixture
def cluster() -> Iterator[str]:
    """Addresses of a mock cluster that lives as long as the fixture."""
    owner = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 3})
    brokers = owner.list_topics(timeout=30).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del owner


async def test_appends_reach_a_group_and_a_tail_once_and_in_order(database: Dsns, cluster: str) -> None:
    names = [f"n{number}" for number in range(200)]
    async with running_log(database, settings_for(cluster)) as log:
        assert await log.create_topic(TOPIC, PARTITIONS) == PARTITIONS
        tail = await log.tail(TOPIC)
        for start in range(0, 200, 20):
            await append_surely(log, events(*names[start : start + 20]))
        outcomes = await log.append(TOPIC, events(*names))
        assert all(outcome.duplicate for outcome in outcomes)
        assert sorted(await read_names(tail, 200)) == sorted(names)
        async with log.consume(TOPIC, "store", "one") as consumer:
            assert len(consumer.assigned()) == PARTITIONS
            assert sorted(await read_names(consumer, 200)) == sorted(names)
        assert sum((await log.ends(TOPIC)).values()) == 200


async def test_a_cluster_that_is_not_there_is_unavailable(database: Dsns) -> None:
    with pytest.raises(LogUnavailable):
        async with running_log(database, settings_for("127.0.0.1:9", request_timeout_s=1.0)):
            pass
