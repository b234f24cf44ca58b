"""What the log is told of citizens' reports and votes: what happened, and nothing of who said so."""

from collections.abc import Sequence
from typing import Protocol

from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.ingest.gateway import PLACE_CONFIDENCE, PLACED_BY
from ioc.model.events import Event, Extra, FeedbackReport, FeedbackVote, encode_event
from ioc.model.records import EVENTS_TOPIC, NewRecord, RecordKind
from ioc.model.times import to_us
from ioc.store import reports as rows


class Log(Protocol):
    """Where events go; `ioc.eventlog` implements it."""

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[object]:
        """Append durably; a repeat is recognised. Raises `LogError`."""


async def append_events(log: Log, events: Sequence[Event]) -> None:
    """Append events of citizens. Raises `LogError`."""
    records = [
        NewRecord(RecordKind.EVENT, event.ward or event.source, encode_event(event), (event.source, event.id))
        for event in events
    ]
    await log.append(EVENTS_TOPIC, records)


def event_of(report: rows.ReportRow, policy: CitizenPolicy) -> Event:
    """Return the event that tells the log of a report."""
    service = policy.service(report.service)
    return Event(
        # The log knows the first one: what is told anew has a number of its own.
        id=f"{report.id}-own" if report.separated else report.id,
        source=rows.SOURCE,
        time_us=to_us(report.received),
        received_us=to_us(report.received),
        ward=report.ward,
        lon=report.lon,
        lat=report.lat,
        subject=report.id,
        data=FeedbackReport(
            category=report.service,
            title=service.name.vi if service else report.service,
            text=report.text,
            address=report.address,
            channel=report.channel,
            photos=tuple(report.photos),
            extra=_extra(report),
        ),
    )


def _extra(report: rows.ReportRow) -> Extra:
    extra: Extra = {"joins": report.root} if report.root != report.id else {}
    if report.placed_by is not None:
        extra |= {PLACED_BY: report.placed_by, PLACE_CONFIDENCE: report.place_confidence}
    return extra


def event_of_vote(vote: rows.Vote, report: rows.ReportRow) -> Event:
    """Return the event that tells the log of a vote."""
    return Event(
        id=f"{vote.report_id}-vote-{vote.resolution}",
        source=rows.SOURCE,
        time_us=to_us(vote.at),
        received_us=to_us(vote.at),
        ward=report.ward,
        lon=report.lon,
        lat=report.lat,
        subject=report.id,
        data=FeedbackVote(report_id=report.id, satisfied=vote.satisfied, text=vote.text),
    )
