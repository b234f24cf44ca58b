"""The wire is spelt as agreed."""

import json

import pytest

from ioc.stream.wire import CLOSE_RULES, FrameError, decode_client_frame, incident_json
from tests.unit.stream.samples import T0_US, incident


def test_an_incident_has_every_field_even_when_it_is_empty() -> None:
    shown = json.loads(bytes(incident_json(incident())))
    assert shown == {
        "id": "inc-1", "rev": 1, "rule": "underpass-jam", "key": "det-1", "category": "traffic",
        "severity": "high", "condition": "active", "handling": "new",
        "title": {"vi": "Ùn tắc hầm chui", "en": "Underpass congestion"},
        "ward": "25747", "source": None, "lon": 106.7, "lat": 10.98,
        "opened": "2026-11-18T11:06:40.000Z", "detected": "2026-11-18T11:06:40.001Z",
        "updated": "2026-11-18T11:06:40.000Z", "cleared": None, "acknowledged": None, "resolved": None,
        "closed": None, "assignee": None, "team": None, "note": None, "count": 1, "ack_due": None,
        "resolve_due": None, "respond_due": None, "responded": None, "paused": None, "pause_reason": None,
        "level": 0, "shelved_until": None, "handed_from": None, "agencies": [], "photo": None,
        "merged_into": None, "merged_by": None, "members": 0, "members_active": 0, "checklist": None,
        "why": {
            "rule_version": "3", "summary": {"vi": "Tốc độ thấp", "en": "Low speed"},
            "evidence": [
                {"name": "speed_kmh", "value": 12.5, "op": None, "threshold": None, "unit": None}
            ],
            "event_ids": [],
        },
    }  # fmt: skip


def test_times_that_are_set_are_rfc3339() -> None:
    shown = json.loads(bytes(incident_json(incident(closed_us=T0_US, ack_due_us=T0_US + 1_500_000))))
    assert (shown["closed"], shown["ack_due"]) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:06:41.500Z")


def test_only_the_close_codes_whose_cause_passes_say_reconnect() -> None:
    assert {code: rule.reconnect for code, rule in CLOSE_RULES.items()} == {
        4400: False, 4401: False, 4403: False, 4408: True, 4409: True, 4413: False, 4429: True, 4503: True,
        4508: True,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["{", "\ud800", '{"type":"hello","resume":{"epoch":1,"offset":1}}'])
def test_what_cannot_be_decoded_raises_the_documented_error(text: str) -> None:
    with pytest.raises(FrameError):
        decode_client_frame(text)
