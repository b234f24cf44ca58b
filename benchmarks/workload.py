"""The committed workload of the pipeline benchmark: seeded, shaped like a city's day.

60 % camera counts, 15 % object detections, 5 % plate reads, 20 % traffic measurements; 5 % of the
measurements are congested, so that rules with state have work. Probes are wrong-way alarms, each of which
opens an incident at once: what the latency is measured with.
"""

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

ALARM_TYPE = "camera.alarm"


class Workload:
    """Makes CloudEvents for the devices of the demo city."""

    def __init__(self, cameras: list[str], detectors: list[str], seed: int = 1) -> None:
        self._cameras = cameras
        self._detectors = detectors
        self._random = random.Random(seed)
        self._ids = itertools.count()
        self._run = datetime.now(UTC).strftime("%H%M%S%f")
        self._probe_cameras = itertools.cycle(cameras)

    def lines(self, count: int) -> bytes:
        """Return `count` events of now as NDJSON."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return b"\n".join(json.dumps(self._event(now)).encode() for _ in range(count))

    def probe(self) -> tuple[str, bytes]:
        """Return a camera and the wrong-way alarm it sends now."""
        camera = next(self._probe_cameras)
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        event = self._envelope(camera, ALARM_TYPE, now, {"kind": "wrong_way", "confidence": 0.95})
        return camera, json.dumps(event).encode()

    def _event(self, now: str) -> dict[str, object]:
        choice = self._random.random()
        if choice < 0.2:
            return self._envelope(self._random.choice(self._detectors), "traffic.flow", now, self._flow())
        camera = self._random.choice(self._cameras)
        if choice < 0.8:
            count = {"people": self._random.randint(0, 20), "vehicles": self._random.randint(0, 40)}
            return self._envelope(camera, "camera.count", now, count)
        if choice < 0.95:
            seen = {"label": "car", "confidence": 0.9, "track_id": str(self._random.randint(0, 999))}
            return self._envelope(camera, "camera.object", now, seen)
        plate = {"plate": f"61A-{self._random.randint(10000, 99999)}", "confidence": 0.9}
        return self._envelope(camera, "camera.plate", now, plate)

    def _flow(self) -> Mapping[str, object]:
        if self._random.random() < 0.05:
            return {"speed_kmh": 8.0, "occupancy": 0.6, "volume_veh": 20, "interval_s": 10}
        speed_kmh = round(self._random.uniform(30, 60), 1)
        return {"speed_kmh": speed_kmh, "occupancy": 0.12, "volume_veh": 9, "interval_s": 10}

    def _envelope(self, source: str, kind: str, now: str, data: Mapping[str, object]) -> dict[str, object]:
        return {
            "specversion": "1.0",
            "id": f"{self._run}-{next(self._ids)}",
            "source": source,
            "type": kind,
            "time": now,
            "data": data,
        }


def schedule(rate: float, seconds: float, posts_per_s: float) -> Iterator[tuple[float, int]]:
    """Yield (seconds after start, events) of an open-loop schedule that holds `rate` events a second."""
    size = max(1, round(rate / posts_per_s))
    interval_s = size / rate
    return ((n * interval_s, size) for n in range(int(seconds / interval_s)))
