"""Citizens at the counter: take a report, say what is known, follow it, hear whether they are content.

    submit ─► row (durable) ─► event in the log ─► rule `citizen-report` ─► incident with a legal clock
                    │ joins an earlier one: told of it, and no incident of its own
    follow ◄─ history of the incident ◄─ people of ward and centre
    vote   ─► row ─► event in the log; not satisfied: the incident is opened again

A report counts once its row is committed, together with its pictures. The append follows at once, and what
opens an incident again (`reopening.py`); what a crash or a log that is away leaves undone the keeper makes up
for (`report_keeper.py`), under the same event id: the log knows it.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from ioc.api.citizen_ports import (
    Followed,
    FollowedAnswer,
    NotYetError,
    QuotaError,
    Receipt,
    ReportCandidate,
    StatusStep,
    Submission,
    UnfitReportError,
)
from ioc.api.ports import Incidents, NotFoundError
from ioc.app.citizens.reopening import Reopening
from ioc.app.citizens.report_events import Log, append_events, event_of, event_of_vote
from ioc.app.clock import now_us
from ioc.app.incidents.effects import box_around
from ioc.app.sealing import Seal
from ioc.eventlog.port import LogError
from ioc.geo.gazetteer import PlacedBy
from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import FINISHED, ReportStatus, may_reopen, resolution_of, status_of, steps_of
from ioc.incidents.duplicates import Candidate, Told, by_root, candidates
from ioc.incidents.policies import Policies
from ioc.incidents.policy_shapes import length_of
from ioc.ingest.ports import NO_ADDRESSES, Addresses
from ioc.model.incidents import Audit
from ioc.model.photos import Made
from ioc.model.times import from_us, to_us
from ioc.model.tracking import RANDOM_BYTES, hash_code, make_code, read_code
from ioc.store import reports as rows
from ioc.store.incidents import read_history
from ioc.store.photos import Origin, PhotoInfo, claim_for_report, new_ref, released_of
from ioc.store.privacy import MIN_PHONE_DIGITS, phone_digits
from ioc.store.row_scope import SERVICE, Pool, ScopedPool
from ioc.stream.masking import mask_words

MAX_STEPS: Final = 200
QUOTA_SPAN: Final = timedelta(days=1)
_MAIL: Final = re.compile(r"[^\s@,;]+@[^\s@,;]+")

_log = structlog.get_logger()
_taken = Counter("ioc_citizen_reports_total", "Reports of citizens", ["outcome"])
_votes = Counter("ioc_citizen_votes_total", "Votes of citizens on what was done", ["satisfied"])


class Pictures(Protocol):
    """Makes pictures anew and stores them; `ioc.app.photos.StoredPhotos` does."""

    async def make(self, data: bytes, origin: Origin) -> Made:
        """Check and re-encode a picture, storing nothing. Raises `PhotoRefused`."""

    async def keep(
        self, connection: AsyncConnection[Any], made: Made, origin: Origin, *, ref: str, claimed: bool
    ) -> PhotoInfo:
        """Store a picture in the caller's transaction. Raises `PhotosFullError`."""


class CitizenDesk:
    """`ioc.api.citizen_ports.Citizens` over PostgreSQL and the log."""

    def __init__(
        self,
        pool: ScopedPool,
        *,
        log: Log,
        incidents: Incidents,
        pictures: Pictures,
        policies: Callable[[], Policies],
        ward_of: Callable[[float, float], str | None],
        bounds: tuple[float, float, float, float],
        seal: Seal,
        per_contact: int,
        addresses: Addresses = NO_ADDRESSES,
    ) -> None:
        """Prepare the counter.

        Args:
            pool: citizens have no wards, so what they do is done as the service.
            log: takes the events.
            incidents: carries out what citizens bring about.
            pictures: takes those that come within a report.
            policies: those in force.
            ward_of: the ward at a position, None outside all of them.
            bounds: west, south, east, north of the city.
            seal: for contacts.
            per_contact: reports one contact may send in a day.
            addresses: finds the place of a report that says it in words only.
        """
        self._pool: Pool = pool.of(SERVICE)
        self._log = log
        self._reopening = Reopening(self._pool, incidents, policies)
        self._pictures = pictures
        self._policies = policies
        self._ward_of = ward_of
        self._bounds = bounds
        self._seal = seal
        self._per_contact = per_contact
        self._addresses = addresses

    @property
    def policy(self) -> CitizenPolicy:
        """What may be reported, as it is in force."""
        return self._policies().citizens

    # telling ------------------------------------------------------------------------------------------------

    async def submit(self, told: Submission) -> Receipt:
        """Take a report; see `ioc.api.citizen_ports.Citizens`."""
        ward = self._check(told)
        told = msgspec.structs.replace(told, idem=idem_of(told))
        # Keyed like the contact in it, which could be guessed from a plain hash beside the text.
        digest = self._seal.recognise(_said(told))
        code = make_code(secrets.token_bytes(RANDOM_BYTES))
        async with self._pool.connection() as connection, connection.transaction():
            if repeat := await _repeat(connection, told.idem, digest, code):
                return repeat
        made = [await self._pictures.make(data, Origin.CITIZEN) for data in told.pictures]
        report = self._placed(self._row(told, ward, digest, [new_ref() for _ in made]))
        try:
            async with self._pool.connection() as connection, connection.transaction():
                report = await self._store(connection, told, report, code)
                await self._enclose(connection, report, told.photos, made)
        except _SentTwiceError:
            # At once, and the other was faster.
            async with self._pool.connection() as connection, connection.transaction():
                if repeat := await _repeat(connection, told.idem, digest, code):
                    return repeat
            raise
        await self._tell_log(report)
        joined = report.root != report.id
        if joined:
            await self._reopening.after_report(report)
        _taken.labels("joined" if joined else "new").inc()
        return Receipt(id=report.id, code=code, joined=joined)

    def _row(
        self, told: Submission, ward: str | None, digest: bytes, enclosed: Sequence[str]
    ) -> rows.ReportRow:
        now = datetime.now(UTC)
        report_id = f"{now:%y%m%d}-{secrets.token_hex(5)}"
        contact = (told.contact or "").strip() or None
        return rows.ReportRow(
            id=report_id, root=report_id, service=told.service, text=told.text, address=told.address,
            lon=told.lon, lat=told.lat, ward=ward, channel=told.channel, partner=told.partner,
            language=told.language, contact=self._seal.close(contact) if contact else None,
            photos=[*told.photos, *enclosed], media_url=told.media_url, received=now, digest=digest,
        )  # fmt: skip

    def _placed(self, report: rows.ReportRow) -> rows.ReportRow:
        """Return a report that says its place in words only, with that place as far as it is known."""
        found = self._addresses.find(report.address) if report.lon is None and report.address else None
        if found is None:
            return report
        return msgspec.structs.replace(
            report,
            lon=found.lon,
            lat=found.lat,
            ward=found.ward,
            placed_by=found.by.value,
            place_confidence=found.confidence,
        )

    async def _store(
        self, connection: AsyncConnection[Any], told: Submission, report: rows.ReportRow, code: str
    ) -> rows.ReportRow:
        """Store a report beside the one that leads. Raises `QuotaError`, `_SentTwiceError`."""
        contact = (told.contact or "").strip()
        contact_hash = self._seal.recognise(one_spelling(contact)) if contact else None
        if contact_hash:
            await rows.lock_contact(connection, contact_hash)
            since = report.received - QUOTA_SPAN
            if await rows.count_of_contact(connection, contact_hash, since) >= self._per_contact:
                raise QuotaError(int(QUOTA_SPAN.total_seconds()))
        root = await self._root_of(connection, told, report.id, report.received)
        report = msgspec.structs.replace(report, root=root, reopen_due=root != report.id)
        if not await rows.add_report(
            connection, report, code_hash=hash_code(code), contact_hash=contact_hash, idem=told.idem
        ):
            raise _SentTwiceError
        return report

    async def _enclose(
        self,
        connection: AsyncConnection[Any],
        report: rows.ReportRow,
        named: Sequence[str],
        made: Sequence[Made],
    ) -> None:
        """Make a report's pictures its own: those sent before, which are `named`, and those within it."""
        for ref, picture in zip(report.photos[len(named) :], made, strict=True):
            await self._pictures.keep(connection, picture, Origin.CITIZEN, ref=ref, claimed=True)
        if report.photos and not await claim_for_report(connection, report.photos, report.id):
            detail = "one of the pictures is not there (any more): send it again and name the new one"
            raise UnfitReportError("photos", "photo_unknown", detail)

    def _check(self, told: Submission) -> str | None:
        """Return the ward of a report. Raises `UnfitReportError`."""
        if self.policy.service(told.service) is None:
            known = ", ".join(service.code for service in self.policy.services)
            raise UnfitReportError("service", "service", f"expected one of {known}")
        if told.lon is None or told.lat is None:
            if not told.address:
                raise UnfitReportError("address", "place_required", "expected a position or an address")
            return None
        west, south, east, north = self._bounds
        if not (west <= told.lon <= east and south <= told.lat <= north):
            raise UnfitReportError("lon", "in_city", "this place is outside the city")
        ward = self._ward_of(told.lon, told.lat)
        if ward is None:
            raise UnfitReportError("lon", "in_ward", "this place is in none of our wards")
        return ward

    async def _root_of(
        self, connection: AsyncConnection[Any], told: Submission, report_id: str, now: datetime
    ) -> str:
        """Return the report that leads: the one that is joined, one that plainly says the same, or itself."""
        if told.joins:
            chosen = await rows.read_report(connection, told.joins)
            if chosen is None or chosen.service != told.service:
                raise UnfitReportError("joins", "joins", "there is no such report of this service")
            root = chosen.root
        else:
            found = await self._likely(connection, told, report_id, now)
            root = next((item.id for item in found if item.verdict == "merge"), report_id)
        if root == report_id:
            return root
        await rows.lock_root(connection, root)
        return report_id if await self._is_over(connection, root, to_us(now)) else root

    async def _is_over(self, connection: AsyncConnection[Any], root: str, at_us: int) -> bool:
        """Tell whether the incident of a report has ended and is not opened again: nobody would hear more."""
        standing = await rows.read_standing(connection, root)
        if standing is None or status_of(standing.acting.handling) not in FINISHED:
            return False
        ended = resolution_of(await read_history(connection, standing.acting.id))
        return ended is None or not may_reopen(standing.acting, ended[1], at_us, self.policy)

    async def _likely(
        self, connection: AsyncConnection[Any], told: Submission, report_id: str, now: datetime
    ) -> list[Candidate]:
        policy = self.policy.duplicates
        since = now - timedelta(microseconds=length_of(policy.within).us)
        has_place = told.lon is not None and told.lat is not None
        box = box_around([told.lon or 0.0], [told.lat or 0.0], policy.metres) if has_place else None
        earlier = await rows.read_earlier(
            connection, told.service, since, box=box, with_address=told.address is not None
        )
        new = Told(
            id=report_id, service=told.service, text=told.text, time_us=to_us(now), address=told.address,
            lon=told.lon, lat=told.lat,
        )  # fmt: skip
        found = candidates(new, map(_told, earlier), policy)
        return by_root(found, {report.id: report.root for report in earlier})

    async def duplicates(self, told: Submission) -> list[ReportCandidate]:
        """Return what may be the same thing; see `ioc.api.citizen_ports.Citizens`."""
        now = datetime.now(UTC)
        async with self._pool.connection() as connection:
            found = await self._likely(connection, told, "", now)
            shown = []
            for item in found:
                report = await rows.read_report(connection, item.id)
                standing = await rows.read_standing(connection, item.id)
                if report is not None:
                    status = await self._status(connection, report, standing)
                    shown.append(
                        ReportCandidate(
                            id=item.id, text=mask_words(report.text)[:280], received=report.received,
                            status=status, likeness=round(item.likeness, 2),
                            metres=None if item.metres is None else round(item.metres),
                        )
                    )  # fmt: skip
        return shown

    async def _tell_log(self, report: rows.ReportRow) -> None:
        """Append now; what fails is made up for by the keeper."""
        try:
            await append_events(self._log, [event_of(report, self.policy)])
        except LogError as error:
            _log.warning("a report waits for the log", report=report.id, error=str(error))
            return
        async with self._pool.connection() as connection:
            await rows.mark_appended(connection, [report])

    # following ----------------------------------------------------------------------------------------------

    async def follow(self, code: str) -> Followed:
        """Return how far a report has come; see `ioc.api.citizen_ports.Citizens`."""
        async with self._pool.connection() as connection:
            report = await self._by_code(connection, code)
            return await self.followed(connection, report)

    async def followed(self, connection: AsyncConnection[Any], report: rows.ReportRow) -> Followed:
        """Return what the reporter of `report` may see."""
        standing = await rows.read_standing(connection, report.root)
        own, head = await _histories(connection, standing)
        steps = steps_of(to_us(report.received), own, head)[-MAX_STEPS:]
        answers = [
            FollowedAnswer(at=answer.at, text=answer.text)
            for answer in await rows.read_answers(connection, [report.id])
        ]
        status = steps[-1].status
        ended = resolution_of(head or own) if status in FINISHED else None
        voted = None
        if ended and standing:
            votes = await rows.read_votes(connection, [report.id])
            voted = next(
                (
                    vote.satisfied
                    for vote in votes
                    if (vote.incident_id, vote.resolution) == (standing.acting.id, ended[0])
                ),
                None,
            )
        standard = {
            ReportStatus.DONE: self.policy.answer_done,
            ReportStatus.REJECTED: self.policy.answer_rejected,
        }
        return Followed(
            id=report.id,
            service=report.service,
            text=mask_words(report.text),
            address=None if report.address is None else mask_words(report.address),
            ward=standing.acting.ward if standing else report.ward,
            received=report.received,
            joined=report.root != report.id,
            status=status,
            steps=[StatusStep(step.status, from_us(step.at_us)) for step in steps],
            standard=standard.get(status),
            answers=answers,
            photos=await released_of(connection, standing.acting.id) if standing else [],
            due=from_us(standing.acting.resolve_due_us)
            if standing and standing.acting.resolve_due_us
            else None,
            may_vote=ended is not None and voted is None,
            satisfied=voted,
        )

    async def _status(
        self, connection: AsyncConnection[Any], report: rows.ReportRow, standing: rows.Standing | None
    ) -> ReportStatus:
        own, head = await _histories(connection, standing)
        return steps_of(to_us(report.received), own, head)[-1].status

    async def vote(self, code: str, *, satisfied: bool, text: str | None) -> Followed:
        """Take a vote; see `ioc.api.citizen_ports.Citizens`."""
        at_us = now_us()
        async with self._pool.connection() as connection, connection.transaction():
            report = await self._by_code(connection, code)
            standing = await rows.read_standing(connection, report.root)
            own, head = await _histories(connection, standing)
            ended = resolution_of(head or own)
            followed = await self.followed(connection, report)
            if standing is None or ended is None or followed.status not in FINISHED:
                raise NotYetError(report.id)
            if report.forgotten and text:
                # The time of what the reporter wrote is over: nobody would come by again to mask this.
                text = mask_words(text)
            vote = rows.Vote(
                report_id=report.id, incident_id=standing.acting.id, resolution=ended[0],
                satisfied=satisfied, text=text, at=from_us(at_us), reopen_due=not satisfied,
            )  # fmt: skip
            is_new = await rows.add_vote(connection, vote)
            if not is_new and (satisfied or followed.satisfied):
                return followed
        if is_new:
            _votes.labels(str(satisfied).lower()).inc()
            await self._tell_log_of_vote(vote, report)
        # A repeat may come because opening the incident again failed.
        if not satisfied:
            await self._reopening.after_vote(vote)
        return await self.follow(code)

    async def _tell_log_of_vote(self, vote: rows.Vote, report: rows.ReportRow) -> None:
        try:
            await append_events(self._log, [event_of_vote(vote, report)])
        except LogError as error:
            _log.warning("a vote waits for the log", report=vote.report_id, error=str(error))
            return
        async with self._pool.connection() as connection:
            await rows.mark_votes_appended(connection, [vote])

    async def _by_code(self, connection: AsyncConnection[Any], text: str) -> rows.ReportRow:
        code = read_code(text)
        report = await rows.read_by_code(connection, hash_code(code)) if code else None
        if report is None:
            raise NotFoundError(text)
        return report


class _SentTwiceError(Exception):
    """The idempotency key of a report was taken meanwhile."""


def idem_of(told: Submission) -> str | None:
    """Return an idempotency key that no other sender can take: the public and each partner have their own."""
    return None if told.idem is None else f"{told.channel}:{told.partner or ''}:{told.idem}"


def _said(told: Submission) -> str:
    """Return all that a report says; pictures within it by their digests."""
    said = msgspec.to_builtins(msgspec.structs.replace(told, idem=None, pictures=()))
    said["pictures"] = [hashlib.sha256(data).hexdigest() for data in told.pictures]
    return msgspec.json.encode(said).decode()


async def _repeat(
    connection: AsyncConnection[Any], idem: str | None, digest: bytes, code: str
) -> Receipt | None:
    """Return the receipt of a report that is there already, with a new code. Raises `UnfitReportError`."""
    before = await rows.read_by_idem(connection, idem) if idem else None
    if before is None:
        return None
    if before.digest != digest:
        raise UnfitReportError("idem", "idem_reused", "this key was used for another report")
    await rows.renew_code(connection, before.id, hash_code(code))
    return Receipt(id=before.id, code=code, joined=before.root != before.id)


async def _histories(
    connection: AsyncConnection[Any], standing: rows.Standing | None
) -> tuple[list[Audit], list[Audit]]:
    """Return the history of the report's incident and of the one that stands for it, where there is one."""
    if standing is None:
        return [], []
    own = await read_history(connection, standing.own.id)
    return own, await read_history(connection, standing.head.id) if standing.head else []


def _told(report: rows.ReportRow) -> Told:
    # Houses of one street may have been placed at one point: that is no sign that they tell of one thing.
    guessed = report.placed_by == PlacedBy.FUZZY
    return Told(
        id=report.id,
        service=report.service,
        text=report.text,
        time_us=to_us(report.received),
        address=report.address,
        lon=None if guessed else report.lon,
        lat=None if guessed else report.lat,
    )


def one_spelling(contact: str) -> str:
    """Return one spelling of the phone number in a contact, else of its mail address, else of all of it."""
    digits = phone_digits(_MAIL.sub(" ", contact))
    if len(digits) >= MIN_PHONE_DIGITS:
        return digits
    mail = _MAIL.search(contact)
    return (mail[0] if mail else contact).lower()
