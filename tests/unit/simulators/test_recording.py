"""Recorded detections: followed by overlap, counted truthfully."""

from pathlib import Path
from typing import Any

import pytest

from simulators.recording import RecordingError, length_us, load_recording, recorded_events
from simulators.senders import ndjson
from simulators.tracker import Box, Tracker, iou


def test_overlap_of_boxes() -> None:
    assert iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert iou((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (1, 0, 1, 1)) == 0


def car(x: float, y: float = 0.5) -> Box:
    return (x, y, 0.1, 0.1)


def test_two_cars_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    for frame in range(60):
        right, left = car(0.1 + frame * 0.01, 0.3), car(0.8 - frame * 0.01, 0.5)
        numbers = [track.number for track in tracker.step(frame, [right, left])]
        assert numbers == [1, 2]


def test_a_track_survives_a_short_gap_and_not_a_long_one() -> None:
    tracker = Tracker(patience_frames=10)
    assert tracker.step(0, [car(0.1)])[0].number == 1
    assert tracker.step(10, [car(0.1)])[0].number == 1
    assert tracker.step(21, [car(0.1)])[0].number == 2


def test_standing_still_takes_three_seconds_and_tolerates_jitter() -> None:
    tracker, jitter = Tracker(), (0.0, 0.006, -0.005, 0.004)
    still_at = []
    for frame in range(150):
        still, slow = tracker.step(frame, [car(0.2 + jitter[frame % 4], 0.2), car(0.2 + frame * 0.001, 0.6)])
        assert not tracker.stands_still(slow)
        if tracker.stands_still(still):
            still_at.append(frame)
    assert still_at == list(range(90, 150))


def test_a_car_that_drives_on_is_no_longer_stopped() -> None:
    tracker = Tracker()
    for frame in range(200):
        (track,) = tracker.step(frame, [car(0.2 + max(0, frame - 120) * 0.004)])
    assert not tracker.stands_still(track)


@pytest.fixture
def recording(shared_data: Path) -> Path:
    path = shared_data / "camera-opendatacam" / "alexeydetections30FPS.json"
    if not path.exists():
        pytest.skip(f"recording absent: {path}")
    return path


def test_the_recording_is_counted_as_it_is(recording: Path) -> None:
    frames = load_recording(recording)
    assert (len(frames), length_us(frames, 30)) == (437, 14_566_667)
    found = [event for _, event in recorded_events(frames, "cam-x", 0, every=5)]
    counts: list[Any] = [event["data"] for event in found if event["type"] == "camera.count"]
    assert [count["vehicles"] for count in counts] == [len(frames[i].objects) for i in range(0, 437, 30)]
    # Nothing can have stood for three seconds before then; the parked cars in the distance have afterwards.
    assert [count["stopped_vehicles"] for count in counts[:3]] == [0, 0, 0]
    assert all(3 <= count["stopped_vehicles"] <= 8 for count in counts[3:])
    objects = [event for event in found if event["type"] == "camera.object"]
    assert len(objects) == sum(len(frame.objects) for frame in frames[::5])
    assert len({event["id"] for event in found}) == len(found)
    for event in objects:
        left, top, width, height = event["data"]["box"]  # type: ignore[index]
        assert 0 <= left <= left + width <= 1.0001
        assert 0 <= top <= top + height <= 1.0001


def test_a_replay_is_the_same_every_time(recording: Path) -> None:
    frames = load_recording(recording)[:100]
    passes = [ndjson([event for _, event in recorded_events(frames, "cam-x", 7)]) for _ in range(2)]
    assert passes[0] == passes[1]


@pytest.mark.parametrize("content", [b"[]", b"{}", b"not json", b'[{"frame_id": 1}]'])
def test_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(RecordingError):
        load_recording(tmp_path / "r.json")
