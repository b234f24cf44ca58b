"""No plate, phone number or citizen's own data leaves towards a person."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

from ioc.model.events import DATA_TYPES, AlarmKind, CameraPlate, Event, EventData, FeedbackReport
from ioc.model.incidents import Evidence, Why
from ioc.model.texts import Text
from ioc.stream.masking import (
    MASK,
    mask_event,
    mask_plate,
    mask_raw,
    mask_text,
    mask_value,
    mask_words,
)
from ioc.stream.wire import incident_json
from tests.unit.stream.samples import event, incident

PLATE = "61A-123.45"
PHONE = "0901 234 567"
SEED = f"xe {PLATE} gọi {PHONE}"
SECRETS = ("123.45", "12345", "234 567", "234567", "1234")


def seeded(type_name: str) -> EventData:
    """Return data of a type with a plate and a phone number wherever it can hold a text."""
    required: dict[str, object] = {}
    for field in msgspec.structs.fields(DATA_TYPES[type_name]):
        kind = str(field.type)
        if field.name == "extra":
            required["extra"] = {"note": SEED, "phone": 901234567, SEED: True, "license_plate": "AB 12 CD"}
        elif field.name == "plate":
            required["plate"] = PLATE
        elif field.name == "counts":
            required["counts"] = {PLATE: 1}
        elif field.name == "kind":
            required["kind"] = AlarmKind.CROWD
        elif "tuple[str" in kind:
            required[field.name] = (f"https://x.test/{PLATE}.jpg", SEED)
        elif "str" in kind:
            required[field.name] = SEED
        elif field.required:
            required[field.name] = 1.0 if "float" in kind else True
    data: EventData = msgspec.convert({"type": type_name, **required}, EventData)
    return data


@pytest.mark.parametrize("type_name", list(DATA_TYPES))
def test_no_type_of_event_tells_a_plate_or_a_phone_number(type_name: str) -> None:
    sent = event("cam-1", seeded(type_name), subject=SEED)
    text = msgspec.json.encode(mask_event(sent)).decode()
    assert sent.type == type_name and PLATE in msgspec.json.encode(sent).decode()
    for secret in (*SECRETS, "901234567", "AB 12 CD"):
        assert secret not in text, text


def test_a_masked_event_is_still_an_event_of_its_type() -> None:
    for type_name in DATA_TYPES:
        shown = mask_event(event("cam-1", seeded(type_name)))
        assert msgspec.convert(msgspec.to_builtins(shown), Event) == shown


def test_of_people_extra_and_subject_are_dropped_and_of_a_plate_its_ends_remain() -> None:
    shown = mask_event(event("cam-1", CameraPlate(plate=PLATE, extra={"a": "b"}), subject="plate:1"))
    assert shown.data == CameraPlate(plate="61A•••45") and shown.subject is None
    report = FeedbackReport(
        category="flood", text="CCCD 074201001234, gọi 0901.234.567", contact="an@example.vn", extra={"a": 1}
    )
    shown = mask_event(event("portal", report, subject="Trần An"))
    assert shown.subject is None
    assert shown.data == FeedbackReport(category="flood", text="CCCD •••234, gọi •••567", contact=MASK)


@pytest.mark.parametrize(
    ("plate", "shown"),
    [
        ("61A-123.45", "61A•••45"),
        ("61-B1 234.56", "61B•••56"),
        ("61A-1234", "61A•••34"),
        ("ABC123", MASK),
        ("", MASK),
    ],
)
def test_a_plate_keeps_its_ends_unless_that_would_be_all_of_it(plate: str, shown: str) -> None:
    assert mask_plate(plate) == shown


@pytest.mark.parametrize(
    "text",
    [
        "61A12345", "61a-123.45", "61B1-23456", "61LD-123.45", "0901234567", "+84 901 234 567",
        "(0274) 3822825", "0084901234567", "84901234567", "0274.3822.825", "plate_61A12345.jpg",
        "0901-234-567 0912-345-678",
    ],
)  # fmt: skip
def test_what_is_shaped_like_a_plate_or_a_phone_number_is_masked(text: str) -> None:
    shown = mask_text(f"xin {text} nhé")
    assert MASK in shown
    assert sum(char.isdigit() for char in shown) <= 6


@pytest.mark.parametrize(
    "text",
    [
        "", "Ngã tư 550, DT743", "quốc lộ 13 km 1000", "cam-25747-012", "ngày 22/11/2026 08:00",
        "1795000000123", "0000012345", "Tốc độ 12,5 km/h (ngưỡng ≤ 15)", "track-17",
    ],
)  # fmt: skip
def test_what_is_neither_stays(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("plate", PLATE, "61A•••45"),
        ("plate", f"{PLATE}, 51F-970.22", "61A•••45, 51F•••22"),
        ("distinct(plate)", 7.0, 7.0),
        ("contact", "an@example.vn", MASK),
        ("extra.phone", 901234567.0, MASK),
        ("text", "số 123456789", "số •••789"),
        ("speed_kmh", 12.5, 12.5),
        ("plate", None, None),
        ("online", True, True),
    ],
)
def test_compared_values_are_masked_by_their_names(
    name: str, value: float | str | bool | None, shown: float | str | bool | None
) -> None:
    assert mask_value(name, value) == shown


def test_no_incident_tells_a_plate_whatever_its_rule_compares_groups_by_or_quotes() -> None:
    # `where: plate in […]`, `by: [plate]`, and `{plate}` or `{contact}` in a title are all possible.
    why = Why(
        rule_version="1",
        summary=Text(vi=f"Biển {PLATE}", en=f"Call {PHONE}"),
        evidence=(
            Evidence(name="plate", value=PLATE, op="in", threshold=f"{PLATE}, 51F-123.45"),
            Evidence(name="text", value=SEED, op="==", threshold=SEED),
            Evidence(name="distinct(plate)", value=3.0, op=">=", threshold=2.0),
        ),
    )
    found = incident(key=f"cam-1|{PLATE}", title=Text(vi=SEED, en=SEED), why=why)
    text = bytes(incident_json(found)).decode()
    for secret in SECRETS:
        assert secret not in text, text
    assert json.loads(text)["why"]["evidence"][2]["value"] == 3.0


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Tôi là Nguyễn Văn Cường, gọi 0912 345 678", "Tôi là •••, gọi •••678"),
        ("HỌ TÊN: Trần Thị Ánh", "HỌ TÊN: •••"),
        ("gọi chị Lan, anh Đức và bà Ánh", "gọi chị •••, anh ••• và bà •••"),
        ("cuong.nv+1@mail.example.vn hoặc a@b", "•••@mail.example.vn hoặc a@b"),
        ("CCCD 079203001234", "CCCD •••234"),
        ("ngập ở cầu Ông Lãnh, Bà Rịa, Quốc lộ 13", "ngập ở cầu Ông Lãnh, Bà Rịa, Quốc lộ 13"),
        ("anh ấy đi, chị nói không", "anh ấy đi, chị nói không"),
    ],
)
def test_what_citizens_write_of_people_is_masked_and_places_stay(written: str, shown: str) -> None:
    assert mask_words(written) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (
            '{"data":{"contact": "Lan \\"x\\" a","plate":"61A-123.45"}}',
            '{"data":{"contact": "•••","plate":"61A•••45"}}',
        ),
        ('{"text":"tôi là Trần An","phone":"+84 912 345 678', '{"text":"tôi là •••","phone":"•••678'),
        ("not json: 0912345678, a@b.vn", "not json: •••678, •••@b.vn"),
        ('{"phone": 912345678, "speed": 12}', '{"phone": "•••", "speed": 12}'),
        ("", ""),
    ],
)
def test_a_message_as_it_came_is_masked_by_names_and_shapes(raw: str, shown: str) -> None:
    assert mask_raw(raw) == shown


@settings(max_examples=200)
@given(text())
def test_masking_a_message_never_fails(raw: str) -> None:
    assert isinstance(mask_raw(raw), str)


def test_a_plates_token_tells_nothing() -> None:
    assert mask_plate("h:3rAbCdEfGh") == "•••"
