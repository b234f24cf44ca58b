"""The citizens' counter of the API, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ioc.api.application import Counter
from ioc.api.citizen_ports import (
    Board,
    BoardFigures,
    Followed,
    PublicRequest,
    QuotaError,
    Receipt,
    ReportCandidate,
    ReportInfo,
    StatusStep,
    Submission,
    UnfitReportError,
)
from ioc.api.georeport_input import RequestQuery
from ioc.api.intake import Intake, IntakeLimits
from ioc.api.ports import NotFoundError
from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import ReportStatus
from ioc.model.times import from_us
from ioc.store.users import Person
from tests.unit.stream.samples import T0_US

CODE = "7K3MQ-9QX2F-C"
REPORT = PublicRequest(
    id="261128-1",
    service="light",
    text="Đèn không sáng",
    status=ReportStatus.RECEIVED,
    received=from_us(T0_US + 123_456),
    updated=from_us(T0_US),
    due=None,
    ward="Phường Thủ Dầu Một",
    team="Đội chiếu sáng",
    lon=106.652,
    lat=10.98,
)


@dataclass
class FakeCitizens:
    """Takes everything; knows one report, by `CODE`."""

    told: list[Submission] = field(default_factory=list)
    fault: UnfitReportError | QuotaError | None = None
    policy: CitizenPolicy = field(default_factory=CitizenPolicy)

    async def submit(self, told: Submission) -> Receipt:
        if self.fault:
            raise self.fault
        self.told.append(told)
        return Receipt(id=REPORT.id, code=CODE, joined=False)

    async def duplicates(self, told: Submission) -> Sequence[ReportCandidate]:
        return []

    async def follow(self, code: str) -> Followed:
        if code != CODE:
            raise NotFoundError(code)
        return Followed(
            id=REPORT.id, service=REPORT.service, text=REPORT.text, received=REPORT.received, joined=False,
            status=REPORT.status, steps=[StatusStep(REPORT.status, REPORT.received)], answers=[],
            may_vote=False,
        )  # fmt: skip

    async def vote(self, code: str, *, satisfied: bool, text: str | None) -> Followed:
        return msgspec.structs.replace(await self.follow(code), satisfied=satisfied)


class FakeReports:
    """The reporter of `REPORT` left no contact."""

    async def of_incident(self, incident_id: str) -> Sequence[ReportInfo]:
        return []

    async def answer(self, report_id: str, text: str, *, everybody: bool, author: str) -> int:
        return 1

    async def separate(self, report_id: str) -> None:
        pass

    async def contact(self, report_id: str, person: Person, reason: str) -> str | None:
        return None


class FakeBoard:
    async def board(self) -> Board:
        nothing = BoardFigures(
            received=0, open=0, done=0, rejected=0, overdue=0, within_due=0, median_done_s=None
        )
        return Board(
            at=from_us(T0_US), days=30, all=nothing, wards={}, services={}, votes=0, satisfied=0, latest=[]
        )


@dataclass
class FakeRequests:
    known: list[PublicRequest] = field(default_factory=lambda: [REPORT])
    queries: list[RequestQuery] = field(default_factory=list)
    fault: Exception | None = None

    async def find(self, query: RequestQuery) -> Sequence[PublicRequest]:
        if self.fault:
            raise self.fault
        self.queries.append(query)
        return [each for each in self.known if not query.ids or each.id in query.ids]


def make_counter(
    *,
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
        intake=Intake(limits or IntakeLimits(looks=1_000), b"key"),
        jurisdiction=jurisdiction,
    )
