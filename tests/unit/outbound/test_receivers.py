"""Who is told of what, and what may be a receiver at all."""

import json
from typing import Any

import msgspec
import pytest

from ioc.model.incidents import Handling, Severity
from ioc.model.notices import Kind, Notice, Receiver
from ioc.model.times import parse_us
from ioc.outbound.mail import compose
from ioc.outbound.receivers import ReceiverError, checked, cloud_event, wants
from tests.unit.stream.samples import T0_US, incident

ROLES = frozenset({"operator", "supervisor"})


def receiver(**changes: Any) -> Receiver:
    return msgspec.structs.replace(
        Receiver(id="duty", kind=Kind.WEBHOOK, target="https://duty.example/in", ops=()), **changes
    )


def notice(op: str = "raised", **changes: Any) -> Notice:
    return Notice(op, T0_US, msgspec.structs.replace(incident("inc-1", ward="25747"), **changes))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"ops": ("cleared",)}, False),
        ({"ops": ("raised", "cleared")}, True),
        ({"min_severity": Severity.HIGH}, True),
        ({"min_severity": Severity.CRITICAL}, False),
        ({"categories": ("flood",)}, False),
        ({"wards": ("25747",)}, True),
        ({"wards": ("25750",)}, False),
        ({"wards": ()}, False),
    ],
)
def test_a_receiver_hears_of_what_passes_all_its_filters(changes: dict[str, Any], wanted: bool) -> None:
    assert wants(receiver(**changes), notice(severity=Severity.HIGH, category="traffic")) is wanted


def test_an_alarm_that_is_part_of_another_tells_nobody() -> None:
    assert not wants(receiver(), notice(handling=Handling.MERGED, merged_into="inc-0"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "Duty"}, "id"),
        ({"id": ""}, "id"),
        ({"lang": "fr"}, "lang"),
        ({"ops": tuple("x" * 101)}, "ops"),
        ({"target": "ftp://duty.example/"}, "target"),
        ({"target": "https://"}, "target"),
        ({"target": "https://user:pass@duty.example/"}, "target"),
        ({"target": "https://duty.example/a\r\nHost: x"}, "target"),
        ({"target": "https://duty.example/" + "x" * 2_000}, "target"),
        ({"kind": Kind.EMAIL, "target": "duty"}, "target"),
        ({"kind": Kind.EMAIL, "target": "a@b.example, c@d.example"}, "target"),
        ({"kind": Kind.EMAIL, "target": "a@b.example\nBcc: c@d.example"}, "target"),
        ({"kind": Kind.IN_APP, "target": "everybody"}, "target"),
    ],
)
def test_what_cannot_be_a_receiver_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ReceiverError) as refused:
        checked(receiver(**changes), ROLES)
    assert refused.value.field == field


def test_what_can_be_a_receiver_is_taken() -> None:
    for changes in (
        {},
        {"kind": Kind.EMAIL, "target": "duty@example.org"},
        {"kind": Kind.IN_APP, "target": "operator"},
    ):
        assert checked(receiver(**changes), ROLES)


def test_a_webhook_tells_codes_and_times_but_nothing_people_wrote() -> None:
    told = notice(note="gọi 0912 345 678", assignee="an", team="team-1")
    event = json.loads(cloud_event(told, receiver()))
    assert event["specversion"] == "1.0"
    assert (event["id"], event["type"], event["subject"]) == (told.id, "ioc.incident.raised", "inc-1")
    assert "0912" not in json.dumps(event)
    assert {"note", "assignee", "team", "why"}.isdisjoint(event["data"])


def test_a_mail_holds_every_notice_and_no_title_can_add_a_header() -> None:
    evil = incident("inc-1").title.__class__(vi="Ùn tắc\r\nBcc: x@evil.example", en="Jam")
    mail = compose([notice(title=evil)], "vi", "ioc@city.example", "duty@example.org", T0_US)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[IOC] Ùn tắc Bcc: x@evil.example"
    many = compose([notice(), notice("cleared")], "en", "ioc@city.example", "duty@example.org", T0_US)
    assert many["Subject"] == "[IOC] 2 incident notices"
    assert many.get_content().count("inc-1") == 2


def test_a_mail_tells_the_time_of_the_clock_on_the_wall() -> None:
    told = msgspec.structs.replace(notice(), at_us=parse_us("2026-11-29T20:30:05Z"))
    text = compose([told], "vi", "ioc@city.example", "duty@example.org", T0_US).get_content()
    assert text.startswith("2026-11-30 03:30:05 (UTC+7)  [")
