"""Going on in another log with the same database: another prefix or cluster, or a topic made anew."""

from collections.abc import Mapping
from enum import StrEnum

from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.layout import read_layout
from ioc.eventlog.origin import adopt, furthest
from ioc.eventlog.postgres import PostgresLog
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC


class Beginning(StrEnum):
    """Where groups begin in a log that holds records already."""

    START = "start"
    END = "end"


class AdoptionError(Exception):
    """The log cannot be adopted as it is; no position was changed. The message says what to do."""


async def adopt_log(
    log: PostgresLog | KafkaLog, partitions: int, beginning: Beginning | None
) -> dict[str, Mapping[int, int]]:
    """Let every group go on in `log` and return where, by topic and partition.

    A topic that is not there is made with as many partitions as it has here, or else `partitions`: the
    rules' state is kept by partition. No role may run meanwhile; what one still did would be fenced.

    Raises:
        AdoptionError: the partitions are others, or there are records and no `beginning`.
        LogError: the log cannot be reached, or refuses us.
    """
    places: dict[str, Mapping[int, int]] = {}
    for topic in (EVENTS_TOPIC, WIDE_TOPIC):
        async with log.connection() as connection:
            # Positions tell where no start has noted the layout yet.
            stood = len(await read_layout(connection, topic) or await furthest(connection, topic))
        found = await log.make_topic(topic, stood or partitions)
        if stood and found != stood:
            raise AdoptionError(
                f"{topic} has {found} partitions in that log and {stood} in this database, and the rules' "
                f"state is kept by partition: take a log.prefix under which it has {stood}, or is not there"
            )
        starts, ends = await log.starts(topic), await log.ends(topic)
        held = sum(ends[partition] - starts[partition] for partition in ends)
        if held and beginning is None:
            raise AdoptionError(
                f"{topic} holds {held} records in that log: say --from start to take them (what this"
                " database has taken before takes effect twice), or --from end to leave them out"
            )
        places[topic] = starts if beginning is Beginning.START else ends
    origin = await log.origin()
    async with log.connection() as connection, connection.transaction():
        await adopt(connection, origin, places)
    return places
