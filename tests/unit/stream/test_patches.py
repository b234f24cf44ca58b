"""A patch goes only to who must hold what it changes, and says all that it changes."""

import json
from typing import Any

from ioc.model.incidents import Handling, Incident
from ioc.stream.batches import ChangeBatch, EncodedChange, Snapshot, encode_change
from ioc.stream.patches import Bases
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.session import Horizon, Session, SessionLimits, TakeSnapshot
from ioc.stream.wire import incident_json
from tests.unit.stream.samples import incident

HELLO = '{"type":"hello","caps":["patch","later"]}'


def step(bases: Bases, changed: Incident) -> dict[str, Any] | None:
    found = bases.step(changed, incident_json(changed))
    return None if found is None else json.loads(bytes(found))


def encoded(bases: Bases, *incidents: Incident) -> list[EncodedChange]:
    return [encode_change(offset, each, bases=bases) for offset, each in enumerate(incidents, 1)]


def given(hello: str, changes: list[EncodedChange], scope: Scope = EVERYTHING) -> list[dict[str, Any]]:
    """Return the changes that a client which said `hello` gets after an empty snapshot."""
    session = Session(scope, SessionLimits(), 0)
    session.on_frame(hello, 0)
    session.start(Horizon("e1", 0), "2026-11-22T10:00:00.000Z")
    session.offer_snapshot(Snapshot("e1", 0, []), 0)
    session.go_live()
    session.offer_changes(ChangeBatch("e1", changes), 0)
    (events,) = [frame["events"] for f in session.flush(0) if (frame := json.loads(f.data))["type"] == "ev"]
    return list(events)


def test_it_holds_what_differs_and_what_was_emptied_as_null() -> None:
    bases = Bases(10)
    assert step(bases, incident(rev=4, note="gọi lại", count=3)) is None
    changed = incident(rev=5, note=None, count=4, updated_us=incident(rev=4).updated_us)
    assert step(bases, changed) == {"id": "inc-1", "rev": 5, "note": None, "count": 4}


def test_there_is_none_without_the_very_revision_before() -> None:
    for before, after in ((1, 3), (3, 3), (4, 3)):
        bases = Bases(10)
        step(bases, incident(rev=before))
        assert step(bases, incident(rev=after)) is None
        assert step(bases, incident(rev=after + 1)) is not None


def test_there_is_none_of_what_comes_from_another_ward_or_had_ended() -> None:
    bases = Bases(10)
    step(bases, incident(rev=1, ward=None))
    assert step(bases, incident(rev=2, ward="a")) is None
    assert step(bases, incident(rev=3, ward="a", handling=Handling.RESOLVED)) is not None
    assert step(bases, incident(rev=4, ward="a")) is None, "whoever came since has not heard of it"


def test_no_more_incidents_are_remembered_than_are_allowed() -> None:
    bases = Bases(2)
    for name in ("a", "b", "a", "c"):
        bases.put(incident(name), incident_json(incident(name)))
    assert [step(bases, incident(name, 2)) is None for name in ("a", "c", "b")] == [False, False, True]


def test_only_who_asks_is_given_patches_and_those_share_a_frame() -> None:
    changes = encoded(Bases(10), incident(rev=1), incident(rev=2, count=2))
    asked, not_asked = given(HELLO, changes), given('{"type":"hello"}', changes)
    assert [event["op"] for event in asked] == ["add", "patch"]
    assert [event["op"] for event in not_asked] == ["add", "upd"]
    assert asked[1]["rev"] == 2 and asked[1]["o"] == 2
    assert asked[0]["incident"] | asked[1]["incident"] == not_asked[1]["incident"]
    batch = ChangeBatch("e1", changes)
    assert batch.frame(EVERYTHING, patches=True) is batch.frame(EVERYTHING, patches=True)


def test_a_patch_is_for_its_ward_alone() -> None:
    changes = encoded(Bases(10), incident(rev=1, ward="foreign"), incident(rev=2, ward="foreign"))
    assert given(HELLO, changes, Scope(frozenset({"mine"}))) == []


def test_who_met_a_patch_without_its_base_begins_anew_and_is_given_whole_incidents() -> None:
    hello = '{"type":"hello","caps":["patch"],"lost":"base","resume":{"epoch":"e1","offset":5}}'
    session = Session(EVERYTHING, SessionLimits(), 0)
    session.on_frame(hello, 0)
    assert session.start(Horizon("e1", 5), "2026-11-22T10:00:00.000Z") == TakeSnapshot("no_base")
    changes = encoded(Bases(10), incident(rev=1), incident(rev=2))
    assert [event["op"] for event in given(hello, changes)] == ["add", "upd"]
