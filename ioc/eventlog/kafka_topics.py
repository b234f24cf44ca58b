"""How our topics are made, and what of an existing one is otherwise."""

from collections.abc import Iterable
from typing import NamedTuple

from ioc.eventlog.kafka_client import Cluster
from ioc.eventlog.kafka_settings import KafkaSettings


class Wanted(NamedTuple):
    """A topic as a new one would be made; `name` is without the prefix."""

    name: str
    partitions: int | None
    """None where any number will do."""
    configs: dict[str, str]


def kept_for_a_time(settings: KafkaSettings, kept_s: float) -> dict[str, str]:
    """Return how a topic of the log is made, whose records all go after `kept_s`."""
    return _safe(settings) | {
        "cleanup.policy": "delete",
        # What `retain` has not deleted by then goes whatever the groups have done.
        "retention.ms": str(round(kept_s * 1000)),
        "retention.bytes": "-1",
        # Retention goes by when a record came, not by a gateway's clock.
        "message.timestamp.type": "LogAppendTime",
    }


def compacted(settings: KafkaSettings) -> dict[str, str]:
    """Return how a topic is made of which the newest message of every key is kept for ever."""
    return _safe(settings) | {"cleanup.policy": "compact"}


def _safe(settings: KafkaSettings) -> dict[str, str]:
    return {
        "min.insync.replicas": str(min(settings.min_insync, settings.replication)),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(2 * settings.record_bytes),
    }


async def differences(settings: KafkaSettings, topics: Iterable[Wanted]) -> list[str]:
    """Return what of the existing `topics` is not as it would be made, each with what to do about it.

    Nothing is changed: a topic of ours may have been set otherwise on purpose.

    Raises:
        LogUnavailable: repeat the call.
        LogRejected: Kafka refuses us.
    """
    cluster = Cluster(settings)
    try:
        return [line for wanted in topics for line in await _differences(cluster, settings, wanted)]
    finally:
        await cluster.close()


async def _differences(cluster: Cluster, settings: KafkaSettings, wanted: Wanted) -> list[str]:
    topic = settings.prefix + wanted.name
    copies = await cluster.copies(topic)
    if not copies:
        return []
    found = []
    if wanted.partitions not in (None, len(copies)):
        found.append(
            f"{topic} has {len(copies)} partitions where {wanted.partitions} are asked for: set the number "
            f"of partitions to {len(copies)}, or see Adding partitions in docs/operations.md"
        )
    if min(copies) < settings.replication:
        found.append(
            f"{topic} has {min(copies)} copies where log.replication asks for {settings.replication}: "
            "add copies with kafka-reassign-partitions.sh, or lower log.replication"
        )
    configs = await cluster.configs(topic, wanted.configs)
    for name, value in wanted.configs.items():
        if configs.get(name) != value:
            found.append(
                f"{topic} has {name}={configs.get(name)} where {value} is asked for: mend it with "
                f"kafka-configs.sh --alter --topic {topic} --add-config {name}={value}"
            )
    return found
