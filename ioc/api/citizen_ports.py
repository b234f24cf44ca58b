"""What the routes of citizens' reports need; `ioc.app.citizens.citizen_desk` is it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from ioc.api.georeport_input import RequestQuery
from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import ReportStatus
from ioc.model.texts import Text
from ioc.store.users import Person


class UnfitReportError(ValueError):
    """A report that cannot be taken: `field` is at fault by `rule`."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.rule = rule
        self.detail = detail


class QuotaError(Exception):
    """This contact has sent as many reports as one may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many reports; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class NotYetError(Exception):
    """There is no result to vote on."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A report as somebody sends it. Positions in degrees; `joins` is a report of the same thing."""

    service: str
    text: str
    channel: Literal["web", "open311"]
    lon: float | None = None
    lat: float | None = None
    address: str | None = None
    contact: str | None = None
    language: Literal["vi", "en"] = "vi"
    photos: tuple[str, ...] = ()
    """Names of pictures that were sent before."""
    pictures: tuple[bytes, ...] = ()
    """Pictures within the report, as they were sent."""
    joins: str | None = None
    partner: str | None = None
    media_url: str | None = None
    """Where a partner keeps a picture; never fetched, shown to staff."""
    idem: str | None = None
    """Makes a repeat harmless; each partner, and the public, have keys of their own."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a reporter gets: the public number and the code that only they have."""

    id: str
    code: str
    joined: bool
    """Whether it was put to an earlier report of the same thing."""


class ReportCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier report that may tell of the same thing, without personal data."""

    id: str
    text: str
    received: datetime
    status: ReportStatus
    likeness: float
    metres: int | None


class FollowedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody of the centre or the ward answered."""

    at: datetime
    text: str


class StatusStep(msgspec.Struct, frozen=True):
    """From `at` on the report stood so."""

    status: ReportStatus
    at: datetime


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A report as its reporter sees it."""

    id: str
    service: str
    text: str
    received: datetime
    joined: bool
    status: ReportStatus
    steps: list[StatusStep]
    answers: list[FollowedAnswer]
    may_vote: bool
    photos: list[str] = []
    """Names of pictures that the public may see: `GET /api/v1/public/photos/{ref}`."""
    address: str | None = None
    ward: str | None = None
    standard: Text | None = None
    """What is answered to everybody whose report came to this end."""
    due: datetime | None = None
    """When the result is due by law."""
    satisfied: bool | None = None
    """How this reporter voted on the present result."""


class ReportInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A report as the people who answer it see it, masked."""

    id: str
    root: str
    service: str
    text: str
    channel: str
    received: datetime
    address: str | None
    lon: float | None
    lat: float | None
    placed_by: str | None
    """How its address gave its place: `code`, `address`, `fuzzy`, `ward`; null where its author gave it."""
    place_confidence: float | None
    """How sure that is, 0 to 1."""
    contact: str | None
    photos: list[str]
    media_url: str | None
    answers: list[FollowedAnswer]
    satisfied: bool | None


class Citizens(Protocol):
    """Reports of citizens, from their side of the counter."""

    @property
    def policy(self) -> CitizenPolicy:
        """What may be reported."""

    async def submit(self, told: Submission) -> Receipt:
        """Take a report with its pictures, or nothing of it; durable when it returns.

        Raises `UnfitReportError`, `QuotaError`, `ioc.photos.check.PhotoRefused`, `PhotosFullError`.
        """

    async def duplicates(self, told: Submission) -> Sequence[ReportCandidate]:
        """Return what may be the same thing, the likeliest first."""

    async def follow(self, code: str) -> Followed:
        """Return how far a report has come. Raises `NotFoundError`."""

    async def vote(self, code: str, *, satisfied: bool, text: str | None) -> Followed:
        """Take a reporter's vote on the result; a second one changes nothing.

        Raises `NotFoundError`, `NotYetError`.
        """


class Reports(Protocol):
    """Reports of citizens for the people who answer them; each sees those of their own wards.

    The methods raise `NotFoundError`.
    """

    async def of_incident(self, incident_id: str) -> Sequence[ReportInfo]:
        """Return the reports of an incident within the wards of the person being served."""

    async def answer(
        self, report_id: str, text: str, *, everybody: bool, author: str, idem: str | None
    ) -> int:
        """Answer a reporter, or all of the same incident; return how many. A repeat of `idem` tells nobody.

        Raises `UnfitReportError` where `idem` was used for another answer.
        """

    async def separate(self, report_id: str) -> None:
        """Let a report stand for itself that was taken for the same as another."""

    async def contact(self, report_id: str, person: Person, reason: str) -> str | None:
        """Return how to reach a reporter. Raises `TooManyLooksError`."""


class BoardFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of reports: counts of the board's days."""

    received: int
    open: int
    done: int
    rejected: int
    overdue: int
    within_due: int
    """Of those done, how many within the legal time."""
    median_done_s: int | None
    """From the report to the result."""


class PublicPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A report as everybody may see it: what kind, roughly where, and how far it has come."""

    id: str
    service: str
    ward: str | None
    lon: float | None
    lat: float | None
    received: datetime
    status: ReportStatus
    reports: int
    """How many people told of it."""


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The public board as computed at `at` over the last `days` days."""

    at: datetime
    days: int
    all: BoardFigures
    wards: dict[str, BoardFigures]
    services: dict[str, BoardFigures]
    votes: int
    satisfied: int
    latest: list[PublicPlace]
    """The latest first."""


class PublicBoard(Protocol):
    """What everybody may see."""

    async def board(self) -> Board:
        """Return the board."""


class PublicRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A report as programs of Open311 may see it: words masked, place rough."""

    id: str
    service: str
    text: str
    status: ReportStatus
    received: datetime
    updated: datetime
    """When it last changed; of what is finished, when it was."""
    due: datetime | None
    ward: str | None
    """Its name."""
    team: str | None
    """Who answers for it."""
    lon: float | None
    lat: float | None
    photo: str | None = None
    """Name of the report's first picture that the public may see."""


class PublicRequests(Protocol):
    """Reports for programs of Open311."""

    async def find(self, query: RequestQuery) -> Sequence[PublicRequest]:
        """Return what is asked for, the latest first."""
