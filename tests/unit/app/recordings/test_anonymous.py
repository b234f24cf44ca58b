"""Nothing personal is left in an anonymous recording, and one plate stays one plate."""

import msgspec
import pytest

from ioc.app.recordings.anonymous import KEY_BYTES, Anonymiser
from ioc.app.recordings.entries import encode_entries
from ioc.ingest.decoders.fields import id_of
from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraObject,
    CameraPlate,
    Event,
    EventData,
    FeedbackReport,
    FeedbackVote,
)
from ioc.model.records import Tick

KEY = bytes(range(KEY_BYTES))


def event(data: EventData, **fields: object) -> Event:
    base = {"id": "e1", "source": "cam-1", "time_us": 5, "received_us": 6, "ward": "25747", "lon": 106.6}
    return msgspec.convert({**base, "lat": 11.0, "data": msgspec.to_builtins(data), **fields}, Event)


def test_spellings_of_one_plate_become_one_pseudonym_and_other_keys_give_others() -> None:
    change = Anonymiser(KEY)
    plates = ["61A-123.45", "61a 12345", "61A12345", "61A-123.46"]
    found = [change(event(CameraPlate(plate=plate), subject=plate)) for plate in plates]
    tokens = [
        each.data.plate for each in found if isinstance(each, Event) and isinstance(each.data, CameraPlate)
    ]
    assert tokens[0] == tokens[1] == tokens[2] != tokens[3]
    assert [each.subject for each in found if isinstance(each, Event)] == tokens
    other = Anonymiser(bytes(KEY_BYTES))(event(CameraPlate(plate=plates[0])))
    assert isinstance(other, Event) and isinstance(other.data, CameraPlate)
    assert other.data.plate not in tokens


def test_a_report_keeps_what_it_is_about_and_nothing_of_who_sent_it() -> None:
    report = event(
        FeedbackReport(
            category="flood",
            text="Tôi là Nguyễn Văn An, gọi 0912 345 678, ngập trước số nhà 12",
            title="Ngập, xe 61A-123.45",
            contact="0912345678",
            address="12 đường Yersin, anh Bình",
            photos=("p1", "p2"),
            extra={"joins": "r-7", "phone": "0912345678", "reporter": "An"},
        ),
        id="r-8",
        subject="r-8",
        source="citizens",
        trace="00-" + "1" * 32 + "-" + "1" * 16 + "-01",
    )
    found = Anonymiser(KEY)(report)
    assert isinstance(found, Event) and isinstance(found.data, FeedbackReport)
    raw = encode_entries([found]).decode()
    for secret in (
        "Nguyễn",
        "0912",
        "345 678",
        "12345",
        "Bình",
        "p1",
        "r-8",
        "r-7",
        "reporter",
        "traceparent",
    ):
        assert secret not in raw, secret
    assert found.data.category == "flood"
    assert "ngập trước số nhà 12" in found.data.text
    assert (found.lon, found.lat, found.time_us, found.ward) == (106.6, 11.0, 5, "25747")


def test_pseudonyms_of_reports_still_fit_together() -> None:
    change = Anonymiser(KEY)
    first = change(
        event(FeedbackReport(category="c", text="x", contact="+84 912 345 678"), id="r-7", subject="r-7")
    )
    second = change(
        event(FeedbackReport(category="c", text="x", contact="0912345678", extra={"joins": "r-7"}), id="r-8")
    )
    vote = change(
        event(FeedbackVote(report_id="r-7", satisfied=True, text="cám ơn chị Hoa"), id="r-7-vote-1")
    )
    assert isinstance(first, Event) and isinstance(second, Event) and isinstance(vote, Event)
    assert isinstance(first.data, FeedbackReport) and isinstance(second.data, FeedbackReport)
    assert isinstance(vote.data, FeedbackVote)
    assert first.subject == first.id == second.data.extra["joins"] == vote.data.report_id
    assert first.data.contact == second.data.contact
    assert "Hoa" not in str(vote.data.text)


def test_no_id_lets_anybody_try_out_plates() -> None:
    """Decoders make ids of source, time and plate: without a key, trying all plates would find it."""
    change, other = Anonymiser(KEY), Anonymiser(bytes(KEY_BYTES))
    digest, plate = id_of("cam-1", 5, "61A-123.45"), CameraPlate(plate="61A-123.45")
    seen = [
        event(plate, id=digest),
        event(plate, id="61A12345-1"),
        event(CameraAlarm(kind=AlarmKind.RED_LIGHT, confidence=0.9), id=digest),
    ]
    found, again, others = ([each(one).id for one in seen] for each in (change, change, other))  # type: ignore[union-attr]
    assert found == again
    assert found[0] == found[2], "what refers to each other still does"
    assert not {*found} & {*others, digest, "61A12345-1"}
    plain = event(CameraAlarm(kind=AlarmKind.RED_LIGHT, confidence=0.9), id="alarm-red_light-1795392892000")
    assert change(plain) == plain


def test_other_events_and_ticks_stay_what_they_are_but_for_texts_that_name_somebody() -> None:
    change = Anonymiser(KEY)
    plain = event(CameraObject(label="car", confidence=0.5, track_id="t1"))
    assert change(plain) == plain
    assert change(Tick(9)) == Tick(9)
    named = change(event(CameraObject(label="car", extra={"driver": "An", "lane": "2"})))
    assert isinstance(named, Event)
    assert named.data.extra == {"driver": "•••", "lane": "2"}


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Anonymiser(b"short")
