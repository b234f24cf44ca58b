"""The citizens' counter in memory: one report `r-1` of the own ward, code `CODE`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from ioc.api.application import Counter
from ioc.api.citizen_ports import (
    Board,
    BoardFigures,
    Followed,
    Receipt,
    ReportCandidate,
    ReportInfo,
    StatusStep,
    Submission,
)
from ioc.api.intake import Intake, IntakeLimits
from ioc.api.ports import NotFoundError
from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import ReportStatus
from ioc.store.users import Person

CODE = "7K3MQ-9QX2F-C"
AT = datetime(2026, 11, 28, tzinfo=UTC)


class FakeCitizens:
    policy = CitizenPolicy()

    async def submit(self, told: Submission) -> Receipt:
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

    async def answer(self, report_id: str, text: str, *, everybody: bool, author: str) -> int:
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


def fake_counter() -> Counter:
    return Counter(
        citizens=FakeCitizens(),
        reports=FakeReports(),
        board=FakeBoard(),
        intake=Intake(IntakeLimits(), b"key"),
    )
