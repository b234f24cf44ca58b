"""Entries without personal data, of which rules still see what they need. Pure.

What becomes of each:

    camera.plate             plate, subject: a pseudonym, one for all spellings of a plate; id: a pseudonym;
                             extra: dropped
    feedback.report, .vote   id, report_id, subject, what a report joins: pseudonyms that still fit together;
                             contact: a pseudonym; text, title, address: masked as for people;
                             photos: dropped; extra: dropped but for `joins`
    every other type         texts masked as for people; fields of extra that name a person: masked;
                             id: a pseudonym where it may be a digest of a plate
    every event              traceparent: dropped

A pseudonym is an HMAC-SHA-256 under the key of the recording, so nobody without the key can try plates
against it. Positions and times stay, since fences and windows work on them: an anonymous recording is for
engineers; what anybody may have is what `ioc export open` writes.
"""

import base64
import hashlib
import hmac
import re
from typing import Final

import msgspec

from ioc.app.recordings.entries import Entry
from ioc.model.events import CameraPlate, Event, FeedbackReport, FeedbackVote
from ioc.model.records import Tick
from ioc.store.privacy import phone_digits, plate_token
from ioc.stream.masking import mask_event, mask_words

KEY_BYTES: Final = 32
_REMEMBERED: Final = 100_000
"""Pseudonyms kept at hand; others are computed again and come out the same."""
_DIGEST: Final = re.compile(r"[0-9a-f]{24}")
"""An id that a decoder made of all it knew, a plate perhaps: who has source and time could try them all."""


class Anonymiser:
    """Replaces personal data. Equal keys give equal pseudonyms."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
        self._key = key
        self._plates: dict[str, str] = {}

    def __call__(self, entry: Entry) -> Entry:
        """Return `entry` as others may have it."""
        if isinstance(entry, Tick):
            return entry
        data = entry.data
        if isinstance(data, CameraPlate):
            return msgspec.structs.replace(
                entry,
                id=self._token("event", entry.id),
                data=msgspec.structs.replace(data, plate=self._plate(data.plate), extra={}),
                subject=None if entry.subject is None else self._plate(entry.subject),
                trace=None,
            )
        if isinstance(data, FeedbackReport):
            return self._report(entry, data)
        if isinstance(data, FeedbackVote):
            text = None if data.text is None else mask_words(data.text)
            vote = msgspec.structs.replace(
                data, report_id=self._token("report", data.report_id), text=text, extra={}
            )
            return self._of_citizen(entry, vote)
        event_id = self._token("event", entry.id) if _DIGEST.fullmatch(entry.id) else entry.id
        return msgspec.structs.replace(mask_event(entry), id=event_id, trace=None)

    def _report(self, entry: Event, data: FeedbackReport) -> Event:
        masked = {
            name: None if value is None else mask_words(value)
            for name in ("text", "title", "address")
            for value in [getattr(data, name)]
        }
        joins = data.extra.get("joins")
        contact = None if data.contact is None else self._token("contact", _contact(data.contact))
        report = msgspec.structs.replace(
            data,
            **masked,
            contact=contact,
            photos=(),
            extra={"joins": self._token("report", joins)} if isinstance(joins, str) else {},
        )
        return self._of_citizen(entry, report)

    def _of_citizen(self, entry: Event, data: FeedbackReport | FeedbackVote) -> Event:
        return msgspec.structs.replace(
            entry,
            id=self._token("report", entry.id),
            data=data,
            subject=None if entry.subject is None else self._token("report", entry.subject),
            trace=None,
        )

    def _plate(self, plate: str) -> str:
        found = self._plates.get(plate)
        if found is None:
            if len(self._plates) >= _REMEMBERED:
                self._plates.clear()
            found = self._plates[plate] = plate_token(self._key, plate)
        return found

    def _token(self, kind: str, text: str) -> str:
        mac = hmac.new(self._key, f"{kind}\x00{text}".encode(), hashlib.sha256).digest()
        return "h:" + base64.urlsafe_b64encode(mac[:18]).decode()


def _contact(text: str) -> str:
    """Return a contact so that two spellings of one phone number are one."""
    digits = phone_digits(text)
    return digits if len(digits) >= _PHONE_DIGITS else text.strip().casefold()


_PHONE_DIGITS: Final = 9
