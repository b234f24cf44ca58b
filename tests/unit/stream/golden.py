"""Frames that the service really sends, in the order of one client's life, for the tests of both languages.

`python -m tests.unit.stream.golden` writes them where the console's tests read them.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from ioc.model.events import AlarmKind, CameraAlarm, TrafficFlow
from ioc.model.incidents import Checklist, Handling, OpenStep, PauseReason, StepKind
from ioc.model.places import DeviceKind
from ioc.stream.batches import ChangeBatch, Snapshot, encode_change
from ioc.stream.devices import DeviceBatch, DeviceChange
from ioc.stream.patches import Bases
from ioc.stream.scope import Scope
from ioc.stream.session import Horizon, Session, SessionLimits
from ioc.stream.states import EntityStates
from ioc.stream.wire import CLOSE_RULES, DEVICES, PATCH, SHUTTING_DOWN, DeviceJson, Hello, Resume
from tests.unit.stream.samples import T0_US, event, incident

FILE: Final = Path(__file__).parents[3] / "dashboards/console/src/lib/feed/golden.json"
_WARD: Final = "25747"


def golden() -> dict[str, Any]:
    """Return the frames, what a client knows after them, and the table of close codes.

    `patched` are those of a client that takes patches; it knows the same.
    """
    return {
        "frames": _life((DEVICES,)),
        "patched": _life((PATCH, DEVICES)),
        "known": {"incidents": {"inc-1": 2, "inc-3": 1}, "states": ["cam-1", "det-1"]},
        "closes": [{"code": code, "reconnect": rule.reconnect} for code, rule in CLOSE_RULES.items()],
    }


def _life(caps: tuple[str, ...]) -> list[dict[str, Any]]:
    session = Session(Scope(frozenset({_WARD})), SessionLimits(), 0, session_id="s-1")
    frames: list[dict[str, Any]] = []

    def take() -> None:
        frames.extend(json.loads(frame.text) for frame in session.flush(0))

    hello = Hello("golden", resume=Resume("older", 7), caps=caps)
    session.on_frame(msgspec.json.encode(hello).decode(), 0)
    session.start(Horizon("e1", 4), "2026-11-22T10:00:00.000Z")
    whole = incident(
        "inc-1",
        handling=Handling.ACKNOWLEDGED,
        acknowledged_us=T0_US + 5_000_000,
        paused_us=T0_US + 6_000_000,
        pause_reason=PauseReason.CITIZEN,
        assignee="Đội cứu hộ",
        agencies=("cấp nước",),
        checklist=Checklist(
            ref="flood:1", done=1, total=2, open=(OpenStep("close-road", StepKind.CONFIRM, ()),)
        ),
    )
    snapshot = Snapshot("e1", 4, [whole, incident("inc-2"), incident("foreign", ward="25942")])
    session.offer_snapshot(snapshot, 0)
    session.go_live()
    take()
    bases = Bases(10)
    bases.put(whole, snapshot.wholes[0])
    changes = [
        encode_change(5, incident("inc-3", 1)),
        encode_change(6, incident("inc-1", 2, handling=Handling.IN_PROGRESS), bases=bases),
        encode_change(7, incident("foreign", 2, ward="25942")),
        encode_change(8, incident("inc-2", 2, ward="25942"), left_ward=_WARD),
    ]
    session.offer_changes(ChangeBatch("e1", changes), 0)
    take()
    states = EntityStates()
    states.apply(event("det-1", TrafficFlow(interval_s=60, speed_kmh=12.5, occupancy=0.4, volume_veh=31)))
    states.apply(event("cam-1", CameraAlarm(kind=AlarmKind.WRONG_WAY, active=True)))
    batch = states.collect()
    assert batch is not None
    session.offer_states(batch)
    take()
    camera = DeviceJson("cam-1", DeviceKind.CAMERA, "Ngã tư", _WARD, 106.5, 11.0, True, False)
    gone = DeviceChange(msgspec.structs.replace(camera, id="cam-2"), None)
    session.offer_devices(DeviceBatch(3, 4, [DeviceChange(None, camera), gone]))
    take()
    session.notify("warning", "incidents_delayed")
    session.on_frame('{"type":"ping","t":17}', 0, T0_US)
    take()
    frames.extend(json.loads(frame.text) for frame in session.flush(SessionLimits().hb_ms * 1000))
    session.close(SHUTTING_DOWN)
    take()
    return frames


def golden_text() -> str:
    """Return the text of the file."""
    return json.dumps(golden(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(golden_text(), "utf-8")
