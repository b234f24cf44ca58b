"""What an event topic means: ONVIF's own topics and those of vendors, who differ in words, not in ideas."""

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

from ioc.ingest.decoders.gathering import MAX_EXTRA_CHARS, tidy
from ioc.model.events import AlarmKind

What = Literal["alarm", "count", "occupancy", "plate", "face", "track"]


class Topic(msgspec.Struct, frozen=True):
    """A topic that was understood as far as possible."""

    text: str
    """As it was sent, tidied."""
    path: tuple[str, ...]
    """Its parts without namespaces."""
    words: str
    """These parts in lower case."""
    what: What
    kind: AlarmKind
    """Of the alarm; `other` where the topic does not say."""
    label: str | None
    """The class of object that the topic is about, e.g. `person`."""
    pulse: bool
    """A happening, not a state: `Initialized` tells its last value, not that it happens."""
    report: bool
    """A figure or a setting of the device's own, e.g. its load: without a state it is no alarm."""
    scenario: str | None
    """Its last part, where that is the name of a configured scenario (Axis applications)."""


_MAX_TOPIC_CHARS: Final = 512
"""More of a topic is not looked at, so that the cache stays small."""
_SILENT: Final = re.compile(
    r"(?:monitoring|media|ptz\w*|recording\w*|configuration|credential|advancedsecurity|eventbuffer|schedule"
    r"|userconfig|uplink|device/operationmode|device/securitypolicy)(?:/|$)"
)
"""Topics of the device's own housekeeping: words in them are not what a camera saw."""
_REPORTS: Final = re.compile(r"(?:monitoring|media|ptz\w*|recording\w*|configuration|schedule)(?:/|$)")

_WHAT: Final[tuple[tuple[What, re.Pattern[str]], ...]] = (
    (
        "plate",
        re.compile(r"licen[cs]eplate|plateread|platerecog|platedetect|anpr|alpr|/alpv|/lpr|numberplate"),
    ),
    ("occupancy", re.compile(r"occupancycount|occupancyinarea|insidecount")),
    (
        "count",
        re.compile(r"countaggregation|counter(?:/|$)|linecounting|peoplecount|vehiclecount|objectcount"),
    ),
    ("face", re.compile(r"recognition/face|facerecog")),
    ("track", re.compile(r"objecttrack/")),
)

_KINDS: Final[tuple[tuple[AlarmKind, re.Pattern[str]], ...]] = (
    (
        AlarmKind.FIRE_SMOKE,
        re.compile(
            r"fire(?!wall|_?(?:control|door|engine|equip|escape|exit|exting|hydrant|lane|pass))|smoke|flame"
        ),
    ),
    (AlarmKind.FLOOD, re.compile(r"flood|water_?level|waterlog")),
    (AlarmKind.WRONG_WAY, re.compile(r"wrong_?(?:way|direction)|reverse_?driving|retrograde|counter_?flow")),
    (AlarmKind.RED_LIGHT, re.compile(r"red_?light")),
    (
        AlarmKind.ILLEGAL_STOP,
        re.compile(r"illegal_?(?:park|stop)|parking_?detect|stopped_?vehicle|vehicle_?stop|double_?park"),
    ),
    (AlarmKind.FALL, re.compile(r"fall_?(?:down|detect)|fallen|/fall(?!ing_?obj)|slip_?(?:and_?)?fall")),
    (AlarmKind.CROWD, re.compile(r"crowd|gather|queue|people_?density")),
    (AlarmKind.LOITERING, re.compile(r"loiter|wander|linger|dwell")),
    (
        AlarmKind.LINE_CROSSING,
        re.compile(r"line_?detector|line_?cross|cross_?(?:ed|line)|tripwire|fenceguard"),
    ),
    (
        AlarmKind.TAMPER,
        re.compile(
            r"tamper|image_?health|scene_?change|signal_?los[st]|video_?los[st]|video_?blind|image_?too|impairedvisibility|defocus"
            r"|sabotage|casing|shock_?detect"
        ),
    ),
    (
        AlarmKind.INTRUSION,
        re.compile(
            r"intrusion|objects?inside|trespass|(?:region|area|field)(?:_?detector/)?_?(?:enter|entr|exit)|enter_?(?:region|area)"
            r"|ivaarea|perimeter|climb|invasion"
        ),
    ),
    (
        AlarmKind.OTHER,  # an object that stays or is gone does not move
        re.compile(
            r"abandon|unattended|left_?(?:object|luggage)|(?:object|item)s?_?(?:left|remov|missing|taken)"
        ),
    ),
    (
        AlarmKind.MOTION,
        re.compile(
            r"motion|/pir|/vmd|humanshape|movement|objectdetect|objectanalytics|myruledetector|smartevent|visitor|package"
            r"|(?:people|person|human|vehicle|face|dogcat|animal|pet|object)s?_?(?:detect|$)"
        ),
    ),
)
"""Looked through in this order: `CellMotionDetector/LineCross` is a crossing, not motion."""

_LABELS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("person", re.compile(r"people|person|human|pedestrian")),
    ("vehicle", re.compile(r"vehicle")),
    ("face", re.compile(r"face")),
    ("animal", re.compile(r"dogcat|animal|pet(?:s|detect|$)")),
    ("package", re.compile(r"package")),
)


@lru_cache(maxsize=2_048)
def words_mean(words: str) -> AlarmKind:
    """Return the kind of alarm that lower-case words tell of, `other` for none."""
    return next((kind for kind, pattern in _KINDS if pattern.search(words)), AlarmKind.OTHER)


def alarm_in(name: str) -> AlarmKind | None:
    """Return the kind of alarm that a maker's own name for it, in lower case, tells of; None for none.

    That something moves or is there tells nothing of the kind.
    """
    kind = words_mean(f"/{name}")
    return None if kind in (AlarmKind.OTHER, AlarmKind.MOTION) else kind


@lru_cache(maxsize=2_048)
def label_in(words: str) -> str | None:
    """Return the class of object that lower-case words name, None for none."""
    return next((label for label, pattern in _LABELS if pattern.search(words)), None)


def topic_of(sent: str) -> Topic:
    """Return what the topic `sent` means; namespaces (`tns1:`, `axis:`, `tns:axis/`) are dropped."""
    return _topic_of(sent[:_MAX_TOPIC_CHARS])


@lru_cache(maxsize=2_048)
def _topic_of(sent: str) -> Topic:
    shown = tidy(sent, MAX_EXTRA_CHARS)
    path = tuple(part.rpartition(":")[2] for part in shown.split("/") if part and not part.startswith("tns:"))
    words = "/".join(path).lower()
    scenario = path[-1] if path[:1] == ("CameraApplicationPlatform",) and len(path) > 2 else None
    if scenario is not None:  # its name is the operator's
        words = "/".join(path[:-1]).lower()
    if _SILENT.match(words):
        report = _REPORTS.match(words) is not None
        return Topic(shown, path, words, "alarm", AlarmKind.OTHER, None, False, report, None)
    what: What = next((name for name, pattern in _WHAT if pattern.search("/" + words)), "alarm")
    kind = words_mean("/" + words)
    pulse = kind is AlarmKind.LINE_CROSSING or what in ("plate", "face")
    return Topic(shown, path, words, what, kind, label_in(words), pulse, False, scenario)
