"""Personal data as people get to see it: plates, phone numbers, and what citizens say of themselves.

Log, history tables and rules hold events as they came. Whatever leaves towards a person passes here, for
every role alike: `mask_event` for history, `mask_text` and `mask_value` for incidents. What becomes of each:

    camera.plate                plate: first 3 and last 2 characters (`61A•••45`); extra, subject: dropped
    feedback.report, .vote      contact: `•••`; extra, subject: dropped; text, title, address: any run of nine
                                or more digits (phone, identity card, bank account) keeps its last 3
    every text of every type    likewise what is shaped like a plate or a phone number of Viet Nam (`•••567`),
                                a mail address (`•••@example.vn`), or a citizen's number (12 digits)
    text, title, address        besides, of what citizens write: names after an introduction or form
                                of address ("tôi là …", "ông …", "chị …"; places such as "cầu Ông Lãnh" stay)
    extra of the other types    kept, but a field whose name speaks of a person or a plate becomes `•••`

Identifiers (`id`, `source`) stay as they are, because people and machines look things up by them: a source
must not put personal data there. Raw messages in quarantine pass `mask_raw`, which knows the fields of JSON;
log lines pass `mask_text` (`ioc/app/logs.py`). Shapes and introductions are all that is known of free text: a
bare name in the middle of a sentence stays, so the text as a whole stays within the ward and the centre.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ioc.model.events import CameraPlate, Event, FeedbackReport, FeedbackVote

MASK: Final = "•••"

_ABOUT_A_PERSON: Final = CameraPlate | FeedbackReport | FeedbackVote
_FREE_TEXT: Final = frozenset({"text", "title", "address"})
_PERSONAL_NAME: Final = re.compile(
    r"contact|phone|plate|owner|driver|e-?mail|zalo|cccd|cmnd|sdt|so_?dien_?thoai|bien_?so", re.IGNORECASE
)
_PERSONAL_ROOTS: Final = ("contact", "extra.")
"""Whose names count: `distinct(plate)` is a number of plates and tells of nobody."""
_MIN_PLATE_CHARS: Final = 7
"""A shorter plate would be told by its first three and last two characters."""
_PHONE_END_DIGITS: Final = 3
_TOKEN_MARK: Final = "h:"  # noqa: S105 - no secret
"""What stands in a plate's place once its time is over (`ioc/store/privacy.py`)."""

_NO_WORD_BEFORE: Final = r"(?<![^\W_])"
_NO_WORD_AFTER: Final = r"(?![^\W_])"
_PLATE: Final = re.compile(
    # A motorcycle's series has a digit after its letter. "13 km 1000" is no plate.
    _NO_WORD_BEFORE
    + r"\d{2}[.-]?[A-ZĐ]{1,2}[\s.-]?(?:\d[\s.-]{0,2})?(?:\d{3}[\s.]?\d{2}|\d{4})"
    + _NO_WORD_AFTER,
    re.IGNORECASE,
)
_MAIL: Final = re.compile(r"[\w.+-]{1,64}@(?=[\w-]{1,63}(?:\.[\w-]{1,63})+)")
_CITIZEN_NUMBER: Final = re.compile(r"(?<!\d)0\d{2}[0-3]\d{2}\d{6}(?!\d)")
_UPPER: Final = "".join(chr(code) for code in range(ord("A"), ord("Ỹ")) if chr(code).isupper())
_NAME: Final = re.compile(
    # A small letter begins the address, or it may be a place: cầu Ông Lãnh, Bà Rịa.
    r"\b((?i:tôi là|toi la|tên là|ten la|tên tôi là|họ tên|họ và tên)|ông|bà|anh|chị|chú|cô|bác|em|cháu)"
    rf"(\s*:?\s+)((?:[{_UPPER}][^\W\d_]*)(?:\s+[{_UPPER}][^\W\d_]*){{0,4}})"
)
_JSON_FIELD: Final = re.compile(r'"((?:[^"\\]|\\.){1,64})"(\s*:\s*)(?:"((?:[^"\\]|\\.)*)"|(-?\d[\d.eE+-]*))')
_SEPARATOR: Final = r"[\s.()-]{0,2}"
_PHONE: Final = re.compile(
    rf"(?<!\d)(?:(?:\+|00)?84{_SEPARATOR}0?|0){_SEPARATOR}[2-9](?:{_SEPARATOR}\d){{7,9}}(?!\d)"
)
_LONG_NUMBER: Final = re.compile(r"\d{9,}")


def mask_event(event: Event) -> Event:
    """Return `event` as people may see it; the module says what becomes of which type's fields."""
    fields = {name: _mask_field(name, value) for name, value in msgspec.structs.asdict(event.data).items()}
    subject = None if event.subject is None else mask_text(event.subject)
    if isinstance(event.data, _ABOUT_A_PERSON):
        fields["extra"], subject = {}, None
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, **fields), subject=subject)


def mask_value(name: str, value: float | str | bool | None) -> float | str | bool | None:
    """Return a compared value of the field `name` (e.g. `plate`, `extra.phone`) as people may see it."""
    if name == "plate" and isinstance(value, str):
        # A threshold may list several.
        return ", ".join(mask_plate(part) for part in value.split(", "))
    if value is not None and name.startswith(_PERSONAL_ROOTS) and _is_personal(name):
        return MASK
    return _mask_by_name(name, value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """Return `text` with every plate, phone and citizen's number and mail address masked."""
    if "@" in text:
        text = _MAIL.sub(f"{MASK}@", text)
    if not any(char.isdigit() for char in text):
        return text
    text = _CITIZEN_NUMBER.sub(_end_of_number, _PLATE.sub(lambda match: mask_plate(match[0]), text))
    return _PHONE.sub(_end_of_number, text)


def mask_words(text: str) -> str:
    """Return what a citizen wrote with everything masked that `mask_text` masks, long numbers and names."""
    return _NAME.sub(rf"\1\2{MASK}", _LONG_NUMBER.sub(_end_of_number, mask_text(text)))


def mask_raw(text: str) -> str:
    """Return a message as it came, masked: fields of JSON by their names, everything by its shape.

    The text need not be whole: what is no JSON, or was cut off, is masked by shape alone.
    """
    return mask_text(_JSON_FIELD.sub(_mask_json_field, text))


def _mask_json_field(match: re.Match[str]) -> str:
    name, colon, text, _number = match.groups()
    if text is None:
        return f'"{name}"{colon}"{MASK}"' if _is_personal(name) else match[0]
    return f'"{name}"{colon}"{_mask_field(name, text)}"'


def mask_plate(plate: str) -> str:
    """Return the first 3 and last 2 letters and digits of `plate`; none of a short one or of a token."""
    if plate.startswith(_TOKEN_MARK):
        return MASK
    signs = "".join(char for char in plate if char.isalnum())
    return f"{signs[:3]}{MASK}{signs[-2:]}" if len(signs) >= _MIN_PLATE_CHARS else MASK


def _mask_field(name: str, value: object) -> object:
    if name == "plate" and isinstance(value, str):
        return mask_plate(value)
    if _is_personal(name):
        return value if value is None else MASK
    if isinstance(value, Mapping):
        return {mask_text(str(key)): _mask_field(str(key), inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_mask_field(name, inner) for inner in value)
    # An enumeration's values are ours.
    return _mask_by_name(name, value) if type(value) is str else value


def _mask_by_name(name: str, text: str) -> str:
    return mask_words(text) if name in _FREE_TEXT else mask_text(text)


def _is_personal(name: str) -> bool:
    return _PERSONAL_NAME.search(name) is not None


def _end_of_number(match: re.Match[str]) -> str:
    digits = [char for char in match[0] if char.isdigit()]
    return MASK + "".join(digits[-_PHONE_END_DIGITS:])
