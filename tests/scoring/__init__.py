"""The shipped scenarios under the shipped rules: decoders, gateway and engine over virtual time.

No log, database or clock: an hour of the city takes seconds, so that every scenario can be scored in a test.
What the log does to repeats, it does here too: an event comes once for its source and id.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from ioc.app.devices.description import parse_devices
from ioc.app.rules.expected import expected_sources
from ioc.app.rules.files import RuleFolder
from ioc.geo.geojson import parse_areas
from ioc.geo.index import AreaIndex
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.ingest.registry import DeviceRegistry, RegistrySnapshot
from ioc.model.events import Event, decode_event
from ioc.model.places import Device
from ioc.model.times import SECOND_US
from ioc.rules.backtest import Episode, Replay
from simulators.fleet import load_fleet
from simulators.scenario import Script, named_scenario
from simulators.score import EDGE_S, Raised, Score, score
from simulators.times import parse_us
from simulators.truth import Expected, truth
from simulators.world import Event as Sent
from simulators.world import World
from tests.acceptance.virtual_city import BOUNDS, ROOT, SENDER

DEMO = Path(ROOT / "demo")
SentBetween = Callable[[int, int], list[tuple[int, Sent]]]
SLICE_S = 60
"""Seconds of the city that are made at once."""


@dataclass(frozen=True)
class Scored:
    """A scenario's score, and how many events it came from; `refused` were kept out by ingest."""

    score: Score
    events: int
    refused: int


@cache
def _areas() -> AreaIndex:
    return AreaIndex(parse_areas((DEMO / "areas.geojson").read_bytes()))


@cache
def _devices() -> tuple[Device, ...]:
    return tuple(parse_devices((DEMO / "devices.geojson").read_bytes()))


def scored(name: str, seed: int = 1, rules: Path = ROOT / "rules") -> Scored:
    """Play scenario `name` at its own start for its own duration and compare."""
    scenario = named_scenario(name)
    assert scenario.start is not None and scenario.duration_s is not None
    start_us, length_s = parse_us(scenario.start), int(scenario.duration_s)
    fleet = load_fleet(DEMO / "devices.geojson", DEMO / "areas.geojson")
    script = Script(scenario, fleet, start_us)
    world = World(fleet, [script], seed=seed, start_us=start_us)
    wards = {unit.id: unit.ward for unit in fleet.units.values()}
    expected = truth(script, wards, start_us, length_s + EDGE_S)
    return judged(name, world.sent_between, expected, start_us, length_s, rules)


def judged(
    name: str,
    sent_between: SentBetween,
    expected: list[Expected],
    start_us: int,
    length_s: int,
    rules: Path = ROOT / "rules",
    silence: bool = True,
) -> Scored:
    """Play what was sent through decoders, gateway and rules, and compare with what was `expected`.

    Without `silence` no device has to speak: of those that were left out nobody says that they are silent.
    """
    program = RuleFolder(rules).compiled_for(_areas())
    speakers = expected_sources(_devices(), {}) if silence else {}
    replay = Replay(program, begin_us=start_us, expected=speakers)
    gate = _Gate()
    for second in range(0, length_s, SLICE_S):
        begin_us = start_us + second * SECOND_US
        replay.take(list(gate.admitted(sent_between, begin_us)), begin_us + SLICE_S * SECOND_US)
    assert not replay.failures
    end_us = start_us + length_s * SECOND_US
    found = [_raised(episode, start_us) for episode in replay.episodes(start_us, end_us)]
    return Scored(score(name, expected, found, length_s), gate.events, gate.refused)


class _Gate:
    """The front door: decodes, judges and locates as the service does."""

    def __init__(self) -> None:
        registry = DeviceRegistry()
        registry.replace(RegistrySnapshot((*_devices(), SENDER), ()))
        self._gateway = Gateway(registry, _areas(), BOUNDS, IngestLimits())
        self._seen: set[tuple[str, str]] = set()
        self.events = 0
        self.refused = 0

    def admitted(self, sent_between: SentBetween, begin_us: int) -> Iterator[Event]:
        """Yield what is let in of `SLICE_S` seconds; an event arrives at the end of its second."""
        by_second: dict[int, list[bytes]] = {}
        for at_us, sent in sent_between(begin_us, begin_us + SLICE_S * SECOND_US):
            by_second.setdefault(at_us // SECOND_US, []).append(msgspec.json.encode(sent))
        for second, lines in by_second.items():
            now_us = (second + 1) * SECOND_US
            context = DecodeContext(device_id=SENDER.id, now_us=now_us, content_type="application/x-ndjson")
            decoded = DECODERS["cloudevents"].decode(b"\n".join(lines), context)
            admission = self._gateway.admit(SENDER, decoded.events, decoded.rejections, now_us)
            self.refused += len(admission.rejected)
            for record in admission.records:
                event = decode_event(record.payload)
                if (event.source, event.id) not in self._seen:
                    self._seen.add((event.source, event.id))
                    self.events += 1
                    yield event


def _raised(episode: Episode, start_us: int) -> Raised:
    at_s = (episode.detected_us - start_us) / SECOND_US
    by_ward = episode.key == episode.ward
    return Raised(episode.rule, None if by_ward else episode.key, episode.ward, round(at_s, 3))
