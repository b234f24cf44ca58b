"""The figures of a centre: what each says, and how it comes from counts. Pure.

An incident counts in *parts*, each at a moment (migration 0110 counts them; `Part` names them). A figure is
one entry of `FIGURES`; one more is one more entry. Where what it needs is missing it has no value, not zero.
"""

import math
from collections.abc import Callable, Mapping
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from ioc.model.texts import Text

CELL_RATIO: Final = 1.2
CELLS: Final = 100
MAX_ERROR: Final = math.sqrt(CELL_RATIO) - 1
"""Largest relative error of a median or 90th percentile: a duration is known by its cell."""


class Part(IntEnum):
    """What an incident counts in, and when. What is merged counts as its head."""

    DETECTED = 1
    """When it was detected."""
    FINISHED = 2
    """When it was resolved, closed or rejected; only while it is."""
    REJECTED = 3
    """When it was rejected as a false alarm."""
    DUE = 4
    """When it had to be resolved; rejected ones and paused ones are not due."""
    DUE_KEPT = 5
    """When it had to be resolved, and it was finished by then."""
    DUE_DONE = 6
    """When it had to be resolved, and it is finished."""
    ACK_DUE = 7
    """When somebody had to have seen it; what ended by itself before anybody looked is left out."""
    ACK_KEPT = 8
    """When somebody had to have seen it, and had by then."""
    REOPENED = 9
    """When it was opened again."""
    OPEN = 10
    """Now."""
    UNSEEN = 11
    """Now, and nobody has acknowledged it."""
    UNSTARTED = 12
    """Now, and nobody works on it."""
    VOTES = 13
    """When a reporter judged its result."""
    CONTENT = 14
    """When a reporter was satisfied with its result."""


LATE_KNOWN: Final = frozenset({Part.DUE, Part.DUE_KEPT, Part.DUE_DONE, Part.ACK_DUE, Part.ACK_KEPT})
"""Parts that stand at a due date: what is due later within the running hour is not due yet, so they count by
whole hours."""


class Clock(IntEnum):
    """First cell of the durations from detection on; the part is clock + cell."""

    ACKNOWLEDGE = 1000
    RESPOND = 2000
    RESOLVE = 3000


class Unit(StrEnum):
    """What a value is a number of."""

    SHARE = "share"
    COUNT = "count"
    SECONDS = "s"
    PER_HOUR = "per_hour"


class Better(StrEnum):
    """Which way is good."""

    UP = "up"
    DOWN = "down"
    NEITHER = "neither"


class Source(StrEnum):
    """Whose newest data a figure is as old as."""

    RULES = "rules"
    CAMERA = "camera"
    DETECTOR = "detector"


class Selection(StrEnum):
    """The incidents that a figure is made of."""

    DETECTED = "detected"
    OPEN = "open"
    OVERDUE = "overdue"
    DUE_LATE = "due_late"
    DUE_OPEN = "due_open"
    SEEN_LATE = "seen_late"
    ACKNOWLEDGED = "acknowledged"
    RESPONDED = "responded"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    REJECTED = "rejected"


class Devices(msgspec.Struct, frozen=True):
    """Cameras or detectors of a scope. `newest_us` is event time, None where none has ever reported."""

    in_service: int = 0
    """Those out of service are counted nowhere here."""
    reporting: int = 0
    newest_us: int | None = None

    def joined(self, other: "Devices") -> "Devices":
        """Return both together."""
        newest = max((each for each in (self.newest_us, other.newest_us) if each is not None), default=None)
        return Devices(self.in_service + other.in_service, self.reporting + other.reporting, newest)


NO_DEVICES: Final = Devices()


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that the figures of one scope and period come from."""

    parts: Mapping[int, int] = {}
    """Counts of the period by part."""
    stock: Mapping[int, int] = {}
    """Counts of now by part."""
    overdue: int = 0
    devices: Mapping[Source, Devices] = {}
    duty_hours: int | None = None
    """Hours in which somebody acted, summed over persons; None where that cannot be told for the scope."""
    now_us: int = 0

    def count(self, part: Part) -> int:
        """Return how many of `part` the period has."""
        return self.parts.get(part, 0)


class Measured(msgspec.Struct, frozen=True):
    """A figure's value over `n` cases. `coverage` is the share of what it should rest on that it rests on."""

    value: float | None
    n: int
    coverage: float | None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what it is called, what it says, how it is computed."""

    id: str
    title: Text
    words: Text
    """The formula in words."""
    covers: Text
    """What its coverage is a share of."""
    unit: Unit
    better: Better
    compute: Callable[[Inputs], Measured]
    clock: Clock | None = None
    """The durations it comes from."""
    now: bool = False
    """It says how things are now: the period does not matter, and its past is what was sampled."""
    city_only: bool = False
    selection: Selection | None = None
    source: Source = Source.RULES


# how values come from counts --------------------------------------------------------------------------------


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def devices_of(inputs: Inputs) -> Devices:
    """Return all devices of the scope together."""
    found = NO_DEVICES
    for source in (Source.CAMERA, Source.DETECTOR):
        found = found.joined(inputs.devices.get(source, NO_DEVICES))
    return found


def _seen(inputs: Inputs) -> float | None:
    """Return the share of devices that report: what no device sees does not count."""
    found = devices_of(inputs)
    return _share(found.reporting, found.in_service)


def _ratio(part: Part, whole: Part) -> Callable[[Inputs], Measured]:
    def compute(inputs: Inputs) -> Measured:
        n = inputs.count(whole)
        return Measured(_share(inputs.count(part), n), n, _seen(inputs))

    return compute


def quantile(parts: Mapping[int, int], clock: Clock, share: float) -> tuple[float | None, int]:
    """Return the duration in seconds below which `share` of the cases lie, and how many cases there are.

    It is the middle of the cell that holds it, so it is wrong by `MAX_ERROR` at most; what took less than a
    second counts as one.
    """
    cells = sorted((part - clock, n) for part, n in parts.items() if clock <= part < clock + CELLS and n > 0)
    total = sum(n for _, n in cells)
    rank = math.ceil(share * total)
    passed = 0
    for cell, n in cells:
        passed += n
        if passed >= max(1, rank):
            return CELL_RATIO ** (cell + 0.5), total
    return None, 0


def _duration(clock: Clock, share: float, waiting: Part) -> Callable[[Inputs], Measured]:
    def compute(inputs: Inputs) -> Measured:
        value, n = quantile(inputs.parts, clock, share)
        # Those still waiting will take longer than many who are done: a median without them flatters.
        return Measured(value, n, _share(n, n + inputs.stock.get(waiting, 0)))

    return compute


def _open(inputs: Inputs) -> Measured:
    count = inputs.stock.get(Part.OPEN, 0)
    return Measured(float(count), count, _seen(inputs))


def _overdue(inputs: Inputs) -> Measured:
    return Measured(float(inputs.overdue), inputs.stock.get(Part.OPEN, 0), _seen(inputs))


def _overdue_share(inputs: Inputs) -> Measured:
    count = inputs.stock.get(Part.OPEN, 0)
    return Measured(_share(inputs.overdue, count), count, _seen(inputs))


def _detected(inputs: Inputs) -> Measured:
    count = inputs.count(Part.DETECTED)
    return Measured(float(count), count, _seen(inputs))


def _alarms_per_hour(inputs: Inputs) -> Measured:
    hours = inputs.duty_hours or 0
    return Measured(_share(inputs.count(Part.DETECTED), hours), hours, _seen(inputs))


def _reporting(source: Source) -> Callable[[Inputs], Measured]:
    def compute(inputs: Inputs) -> Measured:
        found = inputs.devices.get(source, NO_DEVICES)
        return Measured(
            _share(found.reporting, found.in_service), found.in_service, 1.0 if found.in_service else None
        )

    return compute


def _age(source: Source) -> Callable[[Inputs], Measured]:
    def compute(inputs: Inputs) -> Measured:
        found = inputs.devices.get(source, NO_DEVICES)
        age_s = None if found.newest_us is None else max(0.0, (inputs.now_us - found.newest_us) / 1e6)
        return Measured(age_s, found.in_service, _share(found.reporting, found.in_service))

    return compute


# the figures ------------------------------------------------------------------------------------------------

_DEVICES: Final = Text(
    "camera và đầu đo đang gửi / đang dùng", "cameras and detectors reporting / in service"
)


def _waiting(vi: str, en: str) -> Text:
    return Text(f"đã {vi} / (đã {vi} + còn chờ)", f"{en} / ({en} + still waiting)")


def _durations() -> list[Figure]:
    clocks = (
        (Clock.ACKNOWLEDGE, Part.UNSEEN, Selection.ACKNOWLEDGED, "tiếp nhận", "acknowledged", "acknowledge"),
        (Clock.RESPOND, Part.UNSTARTED, Selection.RESPONDED, "bắt đầu xử lý", "begun", "begin work"),
        (Clock.RESOLVE, Part.OPEN, Selection.RESOLVED, "xử lý xong", "resolved", "resolve"),
    )  # fmt: skip
    made = []
    for clock, waiting, selection, vi, done, to_do in clocks:
        for suffix, share, of_vi, of_en in (
            ("median", 0.5, "trung vị", "median"),
            ("p90", 0.9, "phân vị 90", "90th percentile"),
        ):
            made.append(
                Figure(
                    id=f"{clock.name.lower()}_{suffix}",
                    title=Text(f"Thời gian {vi}, {of_vi}", f"Time to {to_do}, {of_en}"),
                    words=Text(
                        f"{of_vi} của thời gian từ lúc phát hiện đến lúc {vi}, tính cả lúc tạm dừng, của các"
                        f" sự cố {vi} trong kỳ; sai số tối đa {MAX_ERROR:.0%}",
                        f"{of_en} of the time from detection until {done}, pauses included, of the incidents"
                        f" {done} in the period; within {MAX_ERROR:.0%}",
                    ),
                    covers=_waiting(vi, done),
                    unit=Unit.SECONDS,
                    better=Better.DOWN,
                    compute=_duration(clock, share, waiting),
                    clock=clock,
                    selection=selection,
                )
            )
    return made


_ALL: Final = (
    Figure(
        id="processing_rate",
        title=Text("Tỷ lệ xử lý", "Processing rate"),
        words=Text(
            "sự cố đã xử lý xong / sự cố có hạn xử lý trong kỳ, tính đến giờ tròn gần nhất",
            "incidents finished / incidents due in the period, up to the last whole hour",
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_ratio(Part.DUE_DONE, Part.DUE),
        selection=Selection.DUE_OPEN,
    ),
    Figure(
        id="within_time",
        title=Text("Xử lý đúng hạn", "Resolved within the legal time"),
        words=Text(
            "sự cố xử lý xong trước hạn / sự cố có hạn xử lý trong kỳ, tính đến giờ tròn gần nhất",
            "incidents finished by their due date / incidents due in the period, up to the last whole hour",
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_ratio(Part.DUE_KEPT, Part.DUE),
        selection=Selection.DUE_LATE,
    ),
    Figure(
        id="seen_within_time",
        title=Text("Tiếp nhận đúng hạn", "Acknowledged within the legal time"),
        words=Text(
            "sự cố tiếp nhận trước hạn / sự cố có hạn tiếp nhận trong kỳ, tính đến giờ tròn gần nhất",
            "incidents acknowledged in time / incidents to be acknowledged in the period, up to the last"
            " whole hour",
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_ratio(Part.ACK_KEPT, Part.ACK_DUE),
        selection=Selection.SEEN_LATE,
    ),
    Figure(
        id="open",
        title=Text("Đang mở", "Open"),
        words=Text("sự cố chưa xử lý xong, lúc này", "incidents not finished, now"),
        covers=_DEVICES,
        unit=Unit.COUNT,
        better=Better.DOWN,
        compute=_open,
        now=True,
        selection=Selection.OPEN,
    ),
    Figure(
        id="overdue",
        title=Text("Quá hạn", "Overdue"),
        words=Text(
            "sự cố đang mở đã quá hạn xử lý và không tạm dừng, lúc này",
            "open incidents past their due date and not paused, now",
        ),
        covers=_DEVICES,
        unit=Unit.COUNT,
        better=Better.DOWN,
        compute=_overdue,
        now=True,
        selection=Selection.OVERDUE,
    ),
    Figure(
        id="overdue_share",
        title=Text("Tỷ lệ quá hạn", "Overdue share"),
        words=Text("sự cố quá hạn / sự cố đang mở, lúc này", "overdue incidents / open incidents, now"),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.DOWN,
        compute=_overdue_share,
        now=True,
        selection=Selection.OVERDUE,
    ),
    *_durations(),
    Figure(
        id="reopened_share",
        title=Text("Tỷ lệ mở lại", "Reopened share"),
        words=Text(
            "số lần mở lại / sự cố kết thúc, trong kỳ", "times reopened / incidents finished, in the period"
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.DOWN,
        compute=_ratio(Part.REOPENED, Part.FINISHED),
        selection=Selection.REOPENED,
    ),
    Figure(
        id="satisfaction",
        title=Text("Người dân hài lòng", "Citizens satisfied"),
        words=Text(
            "phiếu hài lòng / phiếu đánh giá kết quả, trong kỳ",
            "votes of satisfied reporters / votes on results, in the period",
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_ratio(Part.CONTENT, Part.VOTES),
    ),
    Figure(
        id="rejected_share",
        title=Text("Tỷ lệ báo động sai", "False alarm share"),
        words=Text(
            "sự cố bị bác bỏ / sự cố kết thúc, trong kỳ",
            "incidents rejected / incidents finished, in the period",
        ),
        covers=_DEVICES,
        unit=Unit.SHARE,
        better=Better.DOWN,
        compute=_ratio(Part.REJECTED, Part.FINISHED),
        selection=Selection.REJECTED,
    ),
    Figure(
        id="detected",
        title=Text("Sự cố phát hiện", "Incidents detected"),
        words=Text(
            "sự cố phát hiện trong kỳ; các báo động gộp lại là một",
            "incidents detected in the period; merged alarms are one",
        ),
        covers=_DEVICES,
        unit=Unit.COUNT,
        better=Better.NEITHER,
        compute=_detected,
        selection=Selection.DETECTED,
    ),
    Figure(
        id="alarms_per_operator_hour",
        title=Text("Báo động mỗi giờ trực", "Alarms per operator-hour"),
        words=Text(
            "sự cố phát hiện / số giờ có người thao tác, cộng theo từng người, trong kỳ",
            "incidents detected / hours in which a person acted, summed over persons, in the period",
        ),
        covers=_DEVICES,
        unit=Unit.PER_HOUR,
        better=Better.DOWN,
        compute=_alarms_per_hour,
        city_only=True,
        selection=Selection.DETECTED,
    ),
    Figure(
        id="camera_coverage",
        title=Text("Camera hoạt động", "Cameras reporting"),
        words=Text(
            "camera đang gửi dữ liệu / camera đang dùng, lúc này", "cameras reporting / in service, now"
        ),
        covers=Text("camera đang dùng", "cameras in service"),
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_reporting(Source.CAMERA),
        now=True,
        source=Source.CAMERA,
    ),
    Figure(
        id="detector_coverage",
        title=Text("Đầu đo hoạt động", "Detectors reporting"),
        words=Text(
            "đầu đo đang gửi dữ liệu / đầu đo đang dùng, lúc này", "detectors reporting / in service, now"
        ),
        covers=Text("đầu đo đang dùng", "detectors in service"),
        unit=Unit.SHARE,
        better=Better.UP,
        compute=_reporting(Source.DETECTOR),
        now=True,
        source=Source.DETECTOR,
    ),
    Figure(
        id="camera_age",
        title=Text("Tuổi dữ liệu camera", "Age of camera data"),
        words=Text("thời gian từ sự kiện camera mới nhất", "time since the newest event of a camera"),
        covers=Text("camera đang gửi / đang dùng", "cameras reporting / in service"),
        unit=Unit.SECONDS,
        better=Better.DOWN,
        compute=_age(Source.CAMERA),
        now=True,
        source=Source.CAMERA,
    ),
    Figure(
        id="detector_age",
        title=Text("Tuổi dữ liệu đầu đo", "Age of detector data"),
        words=Text("thời gian từ sự kiện đầu đo mới nhất", "time since the newest event of a detector"),
        covers=Text("đầu đo đang gửi / đang dùng", "detectors reporting / in service"),
        unit=Unit.SECONDS,
        better=Better.DOWN,
        compute=_age(Source.DETECTOR),
        now=True,
        source=Source.DETECTOR,
    ),
)
FIGURES: Final[dict[str, Figure]] = {figure.id: figure for figure in _ALL}
"""Every figure by its id, in the order of reports."""
SAMPLED: Final = tuple(figure.id for figure in _ALL if figure.now and not figure.id.endswith("_age"))
"""Figures of now whose past is kept as hourly samples."""


# trends -----------------------------------------------------------------------------------------------------

SAME: Final = 0.005
"""Changes smaller than this share of the former value are none."""


class Verdict(StrEnum):
    """What a change means."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    CHANGED = "changed"
    """Neither way is good as such."""


def verdict(better: Better, before: float, now: float) -> Verdict:
    """Return what it means that a figure went from `before` to `now`."""
    if abs(now - before) <= SAME * max(abs(before), abs(now)):
        return Verdict.SAME
    if better is Better.NEITHER:
        return Verdict.CHANGED
    return Verdict.BETTER if (now > before) == (better is Better.UP) else Verdict.WORSE
