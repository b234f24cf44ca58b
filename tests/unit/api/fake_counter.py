"""The citizens' counter in memory: one report `r-1` of the own ward, code `CODE`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from ioc.api.application import Counter
from ioc.api.citizen_ports import (
    Board,
    BoardFigures,
    Followed,
    PublicRequest,
    Receipt,
    ReportCandidate,
    ReportInfo,
    StatusStep,
    Submission,
)
from ioc.api.georeport_input import RequestQuery
from ioc.api.intake import Intake, IntakeLimits
from ioc.api.ports import NotFoundError
from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import ReportStatus
from ioc.store.users import Person

CODE = "7K3MQ-9QX2F-C"
AT = datetime(2026, 11, 28, tzinfo=UTC)


REPORT = PublicRequest(
    id="r-1",
    service="light",
    text="Đèn không sáng",
    status=ReportStatus.RECEIVED,
    received=AT + timedelta(microseconds=123_456),
    updated=AT,
    due=None,
    ward="Phường Thủ Dầu Một",
    team="Đội chiếu sáng",
    lon=106.652,
    lat=10.98,
)


@dataclass
class FakeCitizens:
    policy: CitizenPolicy = field(default_factory=CitizenPolicy)
    told: list[Submission] = field(default_factory=list)
    fault: Exception | None = None

    async def submit(self, told: Submission) -> Receipt:
        if self.fault:
            raise self.fault
        self.told.append(told)
        return Receipt(id="r-1", code=CODE, joined=told.joins is not None)

    async def duplicates(self, told: Submission) -> Sequence[ReportCandidate]:
        return []

    async def follow(self, code: str) -> Followed:
        if code != CODE:
            raise NotFoundError(code)
        step = StatusStep(ReportStatus.RECEIVED, AT)
        return Followed(
            id="r-1", service="road", text="x", received=AT, joined=False, status=step.status, steps=[step],
            answers=[], may_vote=True,
        )  # fmt: skip

    async def vote(self, code: str, *, satisfied: bool, text: str | None) -> Followed:
        return await self.follow(code)


class FakeReports:
    async def of_incident(self, incident_id: str) -> Sequence[ReportInfo]:
        return []

    async def answer(
        self, report_id: str, text: str, *, everybody: bool, author: str, idem: str | None
    ) -> int:
        return 1

    async def separate(self, report_id: str) -> None:
        if report_id != "r-1":
            raise NotFoundError(report_id)

    async def contact(self, report_id: str, person: Person, reason: str) -> str | None:
        return "0912 345 678"


class FakeBoard:
    async def board(self) -> Board:
        none = BoardFigures(
            received=0, open=0, done=0, rejected=0, overdue=0, within_due=0, median_done_s=None
        )
        return Board(at=AT, days=30, all=none, wards={}, services={}, votes=0, satisfied=0, latest=[])


@dataclass
class FakeRequests:
    known: list[PublicRequest] = field(default_factory=lambda: [REPORT])
    queries: list[RequestQuery] = field(default_factory=list)
    fault: Exception | None = None

    def show_photo(self, ref: str) -> None:
        self.known = [msgspec.structs.replace(each, photo=ref) for each in self.known]

    async def find(self, query: RequestQuery) -> Sequence[PublicRequest]:
        if self.fault:
            raise self.fault
        self.queries.append(query)
        return [each for each in self.known if not query.ids or each.id in query.ids]


def fake_counter(
    citizens: FakeCitizens | None = None,
    requests: FakeRequests | None = None,
    limits: IntakeLimits | None = None,
    jurisdiction: str = "",
) -> Counter:
    return Counter(
        citizens=citizens or FakeCitizens(),
        reports=FakeReports(),
        board=FakeBoard(),
        requests=requests or FakeRequests(),
        intake=Intake(limits or IntakeLimits(), b"key"),
        jurisdiction=jurisdiction,
    )
