"""What one client is promised."""

import json
from typing import Any

import pytest

from ioc.stream.batches import ChangeBatch, Place, Snapshot, StateBatch, StateEntry, encode_change
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.session import (
    Horizon,
    Join,
    Measured,
    Phase,
    ReplayAfter,
    Session,
    SessionLimits,
    TakeSnapshot,
    ViewMoved,
)
from ioc.stream.wire import SHUTTING_DOWN, Delays, Frame, encode_part
from tests.unit.stream.peer import Peer
from tests.unit.stream.samples import T0_US, incident

SECOND_US = 1_000_000
NOW = "2026-11-22T10:00:00.000Z"


def batch(first: int, last: int, ward: str = "25747", epoch: str = "e1") -> ChangeBatch:
    return ChangeBatch(
        epoch, [encode_change(n, incident(f"inc-{n}", ward=ward)) for n in range(first, last + 1)]
    )


def states(
    *ids: str, ward: str | None = "25747", lon: float = 106.7, lat: float = 11.0, v: int = 0
) -> StateBatch:
    return StateBatch(
        [StateEntry(i, ward, lon, lat, encode_part({"id": i, "v": v})) for i in ids]  # type: ignore[arg-type]
    )


def messages(frames: list[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in frames]


def types(frames: list[Frame]) -> list[str]:
    return [message["type"] for message in messages(frames)]


def joined(
    scope: Scope = EVERYTHING, limits: SessionLimits | None = None, hello: str | None = None
) -> Session:
    session = Session(scope, limits or SessionLimits(), 0)
    assert session.on_frame(hello or '{"type":"hello","client":"t","lang":"vi"}', 0) == [Join()]
    return session


def live(scope: Scope = EVERYTHING, limits: SessionLimits | None = None, position: int = 0) -> Session:
    session = joined(scope, limits)
    session.start(Horizon("e1", position), NOW)
    session.offer_snapshot(Snapshot("e1", position, []), 0)
    session.go_live()
    assert types(session.flush(0)) == ["welcome", "snap"]
    return session


def resume_hello(epoch: str, offset: int) -> str:
    return json.dumps({"type": "hello", "client": "t", "resume": {"epoch": epoch, "offset": offset}})


def test_a_fresh_client_is_greeted_then_given_a_snapshot_then_what_follows() -> None:
    session = joined()
    assert session.start(Horizon("e1", 5), NOW) == TakeSnapshot("fresh")
    session.offer_snapshot(Snapshot("e1", 4, [incident()]), 0)
    assert session.offer_changes(batch(5, 5), 0)
    session.go_live()
    welcome, snap, ev = messages(session.flush(0))
    assert (welcome["type"], welcome["mode"], welcome["epoch"]) == ("welcome", "snapshot", "e1")
    assert (snap["offset"], snap["page"], snap["last"], len(snap["items"])) == (4, 0, True, 1)
    assert (ev["from"], ev["to"]) == (5, 5)


def test_a_resume_is_honoured_when_nothing_can_be_missing() -> None:
    session = joined(hello=resume_hello("e1", 3))
    assert session.start(Horizon("e1", 5), NOW) == ReplayAfter(3)
    session.offer_changes(batch(4, 5), 0)
    assert [m.get("mode", m.get("from")) for m in messages(session.flush(0))] == ["resume", 4]


@pytest.mark.parametrize(
    ("epoch", "offset", "last", "reason"),
    [("other", 3, 5, "epoch"), ("e1", 6, 5, "ahead"), ("e1", -1, 5, "ahead"), ("e1", 1, 9_000, "too_old")],
)
def test_a_resume_that_could_hide_a_gap_is_answered_with_a_reset(
    epoch: str, offset: int, last: int, reason: str
) -> None:
    session = joined(hello=resume_hello(epoch, offset))
    assert session.start(Horizon("e1", last), NOW) == TakeSnapshot(reason)
    assert messages(session.flush(0))[1] == {"type": "reset", "reason": reason}


def test_a_position_is_worth_nothing_to_another_scope() -> None:
    ward, other = Scope(frozenset({"25747"})), Scope(frozenset({"25748"}))
    hello = resume_hello(ward.stamp("e1"), 3)
    for scope in (EVERYTHING, other):
        assert joined(scope, hello=hello).start(Horizon("e1", 5), NOW) == TakeSnapshot("epoch")
    assert joined(ward, hello=hello).start(Horizon("e1", 5), NOW) == ReplayAfter(3)


def test_changes_given_before_are_skipped_and_missing_ones_are_noticed() -> None:
    session = live(position=3)
    assert session.offer_changes(batch(2, 3), 0)
    assert session.flush(0) == []
    assert session.offer_changes(batch(3, 5), 0)
    assert [(m["from"], m["to"]) for m in messages(session.flush(0))] == [(4, 5)]
    assert not session.offer_changes(batch(7, 7), 0)
    assert not session.offer_changes(batch(6, 6, epoch="e2"), 0)
    assert session.position == 5


def test_a_ward_client_advances_through_what_it_may_not_see() -> None:
    session = live(Scope(frozenset({"mine"})))
    session.offer_changes(batch(1, 3, ward="foreign"), 0)
    (frame,) = session.flush(0)
    message = json.loads(frame.text)
    assert (message["from"], message["to"], message["events"]) == (1, 3, [])
    assert "foreign" not in frame.text and "inc-" not in frame.text


def test_an_incident_that_leaves_the_scope_is_deleted_and_tells_nothing_of_where_it_went() -> None:
    session = live(Scope(frozenset({"mine"})))
    moved = encode_change(1, incident(rev=2, ward="foreign"), left_ward="mine")
    session.offer_changes(ChangeBatch("e1", [moved]), 0)
    (message,) = messages(session.flush(0))
    assert message["events"] == [{"o": 1, "op": "del", "rev": 2, "incident": {"id": "inc-1", "rev": 2}}]


def test_clients_of_one_scope_share_the_encoded_frame() -> None:
    changes, entries = batch(1, 2), states("cam-1")
    sessions = [live(), live(), live(Scope(frozenset({"25747"}))), live(Scope(frozenset({"25747"})))]
    for session in sessions:
        session.offer_changes(changes, 0)
        session.offer_states(entries)
    first, second, third, fourth = (session.flush(0) for session in sessions)
    assert all(a.data is b.data for a, b in zip(first, second, strict=True))
    assert all(a.data is b.data for a, b in zip(third, fourth, strict=True))


def test_a_long_snapshot_is_paged_and_only_its_end_is_a_position() -> None:
    session = joined()
    session.start(Horizon("e1", 0), NOW)
    session.offer_snapshot(Snapshot("e1", 0, [incident(f"inc-{n}") for n in range(450)]), 0)
    frames = [frame for frame in session.flush(0, 10_000_000) if '"snap"' in frame.text]
    assert [(m["page"], m["last"], len(m["items"])) for m in messages(frames)] == [
        (0, False, 200),
        (1, False, 200),
        (2, True, 50),
    ]
    assert [frame.cursor for frame in frames] == [None, None, ("e1", 0)]


def test_an_empty_snapshot_says_so() -> None:
    session = joined()
    session.start(Horizon("e1", 0), NOW)
    session.offer_snapshot(Snapshot("e1", 0, []), 0)
    assert messages(session.flush(0))[1]["items"] == []


def test_control_leaves_before_incidents_and_incidents_before_states() -> None:
    session = live()
    session.offer_states(states("cam-1"))
    session.offer_changes(batch(1, 1), 0)
    session.on_frame('{"type":"ping","t":7}', 0)
    assert types(session.flush(0)) == ["pong", "ev", "state"]


def test_a_flush_stops_at_its_budget_and_the_rest_follows() -> None:
    session = live()
    for n in range(1, 6):
        session.offer_changes(batch(n, n), 0)
    assert len(session.flush(0, 1)) == 1
    assert session.has_more
    assert [m["from"] for m in messages(session.flush(0))] == [2, 3, 4, 5]
    assert session.outbox_bytes == 0
    assert session.flush(0) == []


def test_a_full_outbox_closes_the_client_and_never_trims() -> None:
    session = live(limits=SessionLimits(outbox_bytes=3_000))
    for n in range(1, 20):
        session.offer_changes(batch(n, n), 0)
    (bye,) = messages(session.flush(0))
    assert (bye["type"], bye["code"], bye["reason"], bye["reconnect"]) == ("bye", 4508, "slow", True)
    assert session.phase is Phase.CLOSED
    assert not session.has_more


def test_incidents_that_wait_too_long_close_the_client() -> None:
    session = live(limits=SessionLimits(outbox_age_us=8 * SECOND_US))
    session.offer_changes(batch(1, 1), 0)
    session.offer_changes(batch(2, 2), 0)
    assert types(session.flush(7_900_000, 1)) == ["ev"]
    assert types(session.flush(8_000_000, 1)) == ["bye"]


def test_the_time_a_snapshot_takes_does_not_count_against_the_changes_behind_it() -> None:
    session = joined()
    session.start(Horizon("e1", 0), NOW)
    session.offer_snapshot(Snapshot("e1", 0, [incident(f"inc-{n}") for n in range(400)]), 0)
    session.offer_changes(batch(1, 1), 0)
    session.go_live()
    seen = [kind for second in (0, 5, 10, 14) for kind in types(session.flush(second * SECOND_US, 1))]
    assert seen == ["welcome", "snap", "snap", "ev"]


def test_only_the_latest_state_of_an_entity_waits_and_the_rest_is_counted() -> None:
    session = live()
    for version in range(5):
        session.offer_states(states("cam-1", "cam-2", v=version))
    (message,) = messages(session.flush(0))
    assert message["set"] == [{"id": "cam-1", "v": 4}, {"id": "cam-2", "v": 4}]
    assert message["conflated"] == 8 == session.conflated


def test_states_of_other_wards_and_outside_the_view_are_not_sent() -> None:
    session = live(Scope(frozenset({"25747"})))
    assert session.on_frame('{"type":"view","bbox":[106,10,107,11],"zoom":12}', 0) == [ViewMoved()]
    session.offer_states(states("far", lon=108.0))
    session.offer_states(states("foreign", ward="other"))
    session.offer_states(states("here"))
    assert messages(session.flush(0))[0]["set"] == [{"id": "here", "v": 0}]
    session.offer_states(states("far", lon=108.0))
    assert session.flush(0) == []
    session.on_frame('{"type":"view","bbox":null}', 0)
    session.offer_states(states("far", lon=108.0))
    assert messages(session.flush(0))[0]["set"] == [{"id": "far", "v": 0}]


def test_what_left_the_scope_and_came_back_out_of_view_is_taken_from_where_it_was_seen() -> None:
    session = live(Scope(frozenset({"a"})))
    session.on_frame('{"type":"view","bbox":[107,10,108,12]}', 0)
    part = encode_part({"id": "bus"})  # type: ignore[arg-type]
    seen, away = Place("a", 107.4, 11.0), Place(None, 106.2, 11.0)
    for entry in (
        StateEntry("bus", *away, part, left=seen),
        StateEntry("bus", "a", away.lon, away.lat, part, left=away),
    ):
        session.offer_states(StateBatch([entry]))
    (message,) = messages(session.flush(0))
    assert message["set"] == [{"id": "bus"}]


def test_a_view_that_moves_within_its_tiles_is_given_nothing_anew() -> None:
    session = live()
    assert session.on_frame('{"type":"view","bbox":[106.01,10.01,106.99,10.99]}', 0) == [ViewMoved()]
    assert session.on_frame('{"type":"view","bbox":[106.02,10.02,106.98,10.98]}', 0) == []
    assert session.on_frame('{"type":"view","bbox":[106.3,10.01,107.28,10.99]}', 0) == [ViewMoved()]


def test_a_view_across_the_antimeridian_works() -> None:
    session = live()
    session.on_frame('{"type":"view","bbox":[170,-10,-170,10]}', 0)
    session.offer_states(states("fiji", lon=179.0, lat=0.0))
    session.offer_states(states("hanoi", lon=105.8, lat=0.0))
    assert messages(session.flush(0))[0]["set"] == [{"id": "fiji", "v": 0}]


def test_silence_before_hello_ends_the_session() -> None:
    session = Session(EVERYTHING, SessionLimits(), 0)
    assert session.deadline_us() == 5 * SECOND_US
    assert session.flush(4_999_999) == []
    assert messages(session.flush(5_000_000))[0]["code"] == 4408


def test_an_idle_client_is_pinged_and_one_that_never_answers_is_closed() -> None:
    session = live()
    assert session.deadline_us() == 15 * SECOND_US
    assert types(session.flush(15 * SECOND_US)) == ["ping"]
    assert session.flush(16 * SECOND_US) == []
    assert types(session.flush(30 * SECOND_US)) == ["ping"]
    assert messages(session.flush(45 * SECOND_US))[0]["reason"] == "silent"


def test_a_client_that_answers_stays_however_busy_the_feed_is() -> None:
    session, second, pings = live(), 0, 0
    for second in range(1, 200):
        session.offer_changes(batch(second, second), second * SECOND_US)
        for kind in types(session.flush(second * SECOND_US)):
            if kind == "ping":
                pings += 1
                session.on_frame('{"type":"pong","t":1}', second * SECOND_US)
    assert session.phase is Phase.LIVE
    assert pings == 13


def test_a_ping_is_answered_with_the_time_of_day_and_its_delays_are_handed_on() -> None:
    session = live()
    ping = '{"type":"ping","t":7,"delays":{"p50_ms":80,"p99_ms":400,"count":12}}'
    assert session.on_frame(ping, 0, T0_US) == [Measured(Delays(80, 400, 12))]
    assert session.on_frame('{"type":"ping","t":8}', 0) == []
    assert messages(session.flush(0)) == [
        {"type": "pong", "t": 7, "server_time": "2026-11-18T11:06:40.000Z"},
        {"type": "pong", "t": 8},
    ]


def test_a_one_way_client_is_not_expected_to_answer() -> None:
    session = Session(EVERYTHING, SessionLimits(), 0, one_way=True)
    session.on_frame('{"type":"hello"}', 0)
    session.start(Horizon("e1", 0), NOW)
    session.offer_snapshot(Snapshot("e1", 0, []), 0)
    session.go_live()
    session.flush(0)
    assert types(session.flush(15 * SECOND_US)) == ["ping"]
    assert types(session.flush(90 * SECOND_US)) == ["ping"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"type":"unknown"}',
        '{"client":"x"}',
        '{"type":"view","bbox":[1,2,3]}',
        '{"type":"view","bbox":[0,10,1,5]}',
        '{"type":"view","bbox":[-200,0,0,5]}',
        '{"type":"hello","client":"again"}',
        "[" * 5000,
    ],
)
def test_what_is_no_frame_of_ours_ends_the_session(text: str) -> None:
    session = live()
    session.on_frame(text, 0)
    assert messages(session.flush(0))[0]["code"] == 4400


def test_nothing_but_hello_may_come_first() -> None:
    session = Session(EVERYTHING, SessionLimits(), 0)
    session.on_frame('{"type":"view","bbox":null}', 0)
    assert messages(session.flush(0))[0]["code"] == 4400


def test_unknown_fields_are_ignored() -> None:
    session = live()
    assert session.on_frame('{"type":"view","bbox":[106,10,107,11],"tilt":3}', 0) == [ViewMoved()]


def test_a_frame_beyond_the_limit_ends_the_session() -> None:
    session = live(limits=SessionLimits(frame_bytes=100))
    session.on_frame('{"type":"ping","t":1,"x":"' + "đ" * 50 + '"}', 0)
    assert messages(session.flush(0))[0]["code"] == 4413


def test_a_flood_of_messages_ends_the_session_and_a_steady_pace_does_not() -> None:
    steady, flood = live(), live()
    for n in range(100):
        steady.on_frame('{"type":"ping","t":1}', n * 50_000)
        steady.flush(n * 50_000)
    assert steady.closing is None
    for _ in range(21):
        flood.on_frame('{"type":"ping","t":1}', 0)
    assert flood.closing is not None and flood.closing.code == 4429


def test_after_a_close_nothing_is_taken_or_given_but_the_farewell() -> None:
    session = live()
    session.offer_changes(batch(1, 1), 0)
    session.close(SHUTTING_DOWN)
    session.close(SHUTTING_DOWN._replace(code=4999))
    assert session.on_frame('{"type":"ping","t":1}', 0) == []
    assert session.offer_changes(batch(2, 2), 0)
    session.offer_states(states("cam-1"))
    session.go_live()
    assert messages(session.flush(0)) == [
        {"type": "bye", "code": 4503, "reason": "shutting_down", "reconnect": True, "after_ms": 1000}
    ]
    assert session.flush(10**12) == []


def test_control_frames_are_bounded() -> None:
    session = live(limits=SessionLimits(messages_per_s=1_000))
    for _ in range(70):
        session.on_frame('{"type":"ping","t":1}', 0)
    assert session.closing is not None and session.closing.reason == "slow"


def test_a_reset_in_the_middle_is_followed_by_a_whole_snapshot() -> None:
    peer, session = Peer(), joined(hello=resume_hello("e1", 3))
    peer.cursor = ("e1", 3)
    session.start(Horizon("e1", 9), NOW)
    session.offer_changes(batch(4, 5), 0)
    peer.take(session.flush(0))
    session.offer_changes(batch(6, 6), 0)
    session.reset("retention")
    session.offer_snapshot(Snapshot("e1", 9, [incident("inc-9")]), 0)
    session.go_live()
    peer.take(session.flush(0))
    assert set(peer.incidents) == {"inc-9"} and peer.cursor == ("e1", 9)
