"""Requests of people to erase their data: deadlines, what is erased, and the record of it."""

from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.app.incidents.desk import assemble
from ioc.app.privacy import DONE_DAYS, answer_due
from ioc.app.sealing import Seal
from ioc.store import audit
from ioc.store import privacy as rows
from ioc.store.policies import read_policies
from ioc.store.reports import erase_reporter
from ioc.stream.masking import mask_words

KINDS: Final = ("phone", "plate")
_MIN_SIGNS: Final = {"phone": rows.MIN_PHONE_DIGITS, "plate": 5}


class ErasureError(ValueError):
    """A request that cannot be taken; the message names the value and what is expected."""


async def receive(
    connection: AsyncConnection[Any],
    kind: str,
    subject: str,
    *,
    key: bytes,
    now: datetime,
    by: str,
    note: str,
) -> tuple[int, datetime, datetime]:
    """Take a request that came at `now`; return its number and by when it must be answered and done.

    Working days are those of the policy `calendar` in force.

    Raises:
        ErasureError: the subject is no phone number or plate.
    """
    signs = sum(sign.isalnum() for sign in subject)
    if kind == "phone":
        signs = len(rows.phone_digits(subject))
    if not _MIN_SIGNS[kind] <= signs <= 20:
        raise ErasureError(f"{kind}: expected {_MIN_SIGNS[kind]} to 20 letters or digits")
    calendar = assemble(await read_policies(connection), {}).days
    answer, done = answer_due(now, calendar), now + timedelta(days=DONE_DAYS)
    normal = rows.phone_digits(subject) if kind == "phone" else subject
    token = rows.plate_token(key, f"{kind}{normal}")
    number = await rows.add_request(connection, kind, subject, token, (now, answer, done), by, note)
    await _tell(connection, by, "erasure_received", number, {"kind": kind, "done_due": done.isoformat()})
    return number, answer, done


async def answer(connection: AsyncConnection[Any], number: int, *, now: datetime, by: str) -> None:
    """Note that the person has been answered. Raises `rows.UnknownRequestError`."""
    await rows.open_request(connection, number)
    await rows.answer_request(connection, number, now)
    await _tell(connection, by, "erasure_answered", number, {})


async def carry_out(
    connection: AsyncConnection[Any], number: int, *, key: bytes, seal: Seal, now: datetime, by: str
) -> dict[str, int]:
    """Erase what the request is about; return in how many rows it was. Raises `rows.UnknownRequestError`."""
    request = await rows.open_request(connection, number)
    assert request.subject is not None
    kind, subject = request.subject_kind, request.subject
    pattern, contact, erased = rows.subject_pattern(kind, subject), None, {}
    if kind == "plate":
        erased["camera readings"] = await rows.erase_plate(connection, key, subject)
    else:
        contact = seal.recognise(rows.phone_digits(subject))
    erased["reports"] = await rows.erase_in_reports(connection, mask_words, kind, subject)
    masked = rows.without(pattern, mask_words)
    erased["citizens' reports"] = await erase_reporter(connection, masked, contact, pattern)
    erased |= await rows.erase_in_incidents(connection, mask_words, kind, subject)
    await rows.finish_request(connection, number, now, erased)
    await _tell(connection, by, "erasure_done", number, dict(erased))
    return erased


async def _tell(
    connection: AsyncConnection[Any], by: str, op: str, number: int, details: dict[str, object]
) -> None:
    # The log keeps this for ever: it names the request, never the person.
    await audit.record(
        connection, audit.Area.RETENTION, actor=by, op=op, subject=str(number), details=details
    )
