"""OpenDataCam's own documents: recordings, counters per area, and frames of its tracker.

A counter counts from the start of its recording, so its interval is the recording's.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ioc.ingest.decoders.base import DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import COUNT_MAX, RANGES, Refused
from ioc.ingest.decoders.fields import (
    Tree,
    count_of,
    extra_of,
    id_of,
    map_of,
    maps_of,
    number_of,
    parse_object,
    rejection,
    text_of,
)
from ioc.ingest.decoders.moments import moment_us
from ioc.model.events import CameraCount, CameraObject

_PEOPLE: Final = frozenset({"person", "pedestrian"})
_VEHICLES: Final = frozenset(
    {
        "car",
        "bus",
        "truck",
        "motorbike",
        "motorcycle",
        "bicycle",
        "bike",
        "van",
        "train",
        "tricycle",
        "tuktuk",
    }
)
_MAX_CLASSES: Final = 256
_MAX_NAME_CHARS: Final = 64


def read_document(
    line: int, raw: bytes, context: DecodeContext, rejections: list[Rejection]
) -> list[Decoded]:
    """Return the events of a document of OpenDataCam's API; of a list each recording is refused by itself.

    Raises:
        Refused: it is none of its documents, or something in it is wrong.
    """
    value = parse_object(raw)
    if isinstance(value.get("recordings"), list):
        events: list[Decoded] = []
        for each in maps_of(value["recordings"]):
            try:
                events += _counts(each, line, raw, context)
            except Refused as refused:
                rejections.append(rejection(line, raw, refused))
        return events
    live = value.get("trackerDataForLastFrame")
    if isinstance(live, dict):
        frame = {"objects": live.get("data"), "frame": live.get("frameIndex"), **_resolution(value)}
        return [*_objects(frame, line, raw, context), *_counts(value, line, raw, context)]
    if any(name in value for name in ("counterSummary", "counterHistory", "counterData")):
        return list(_counts(value, line, raw, context))
    if "recordingId" in value and "objects" in value:
        return list(_objects(value, line, raw, context))
    raise Refused("required", "this field is required", "frame_id")


def _resolution(value: Tree) -> Tree:
    return {"resolution": map_of(value, "videoResolution")}


def _counts(value: Tree, line: int, raw: bytes, context: DecodeContext) -> Iterator[Decoded]:
    recording = text_of(value, "_id") or text_of(value, "id") or text_of(value, "recordingId")
    status = map_of(map_of(value, "appState"), "recordingStatus")
    if recording is None:
        recording = text_of(status, "recordingId", "appState.recordingStatus.")
    begin = text_of(value, "dateStart") or text_of(status, "dateStarted", "appState.recordingStatus.")
    end = text_of(value, "dateEnd")
    end_us = context.now_us if end is None else moment_us(end, context.zone, "dateEnd")
    interval_s = 0.0
    if begin is not None:
        interval_s = (end_us - moment_us(begin, context.zone, "dateStart")) / 1e6
        longest_s = RANGES["interval_s"][1]
        if not 0 <= interval_s <= longest_s:
            raise Refused("in_range", f"a recording lasts 0…{longest_s:g} seconds", "dateStart")
    tracked = count_of(map_of(value, "trackerSummary"), "totalItemsTracked", "trackerSummary.")
    areas = map_of(value, "areas")
    for area, counts in _by_area(value).items():
        about = map_of(areas, area)
        extra = {
            "area": area,
            **extra_of(about, (("name", "zone"), ("type", "area_type"))),
            **({} if tracked is None else {"tracked": tracked}),
            **({} if recording is None else {"recording": recording}),
        }
        extra.setdefault("zone", area)
        total = counts.pop("_total", None)
        if total is not None:
            extra["total"] = total
        yield Decoded(
            line=line,
            # Until a recording ends its counters go on; the counts tell one reading from the next.
            id=id_of("counter", recording, area, end or sorted(counts.items())),
            source=context.device_id,
            time_us=end_us,
            data=CameraCount(
                people=_sum(counts, _PEOPLE),
                vehicles=_sum(counts, _VEHICLES),
                interval_s=interval_s,
                counts=counts,
                extra=extra,
            ),
            raw=raw,
        )


def _by_area(value: Tree) -> dict[str, dict[str, int]]:
    """Return counts by class and area: as summed up, else from the items that crossed."""
    summary = map_of(value, "counterSummary") or map_of(value, "counterData")
    found: dict[str, dict[str, int]] = {}
    for area, classes in summary.items():
        where = f"counterSummary.{area[:_MAX_NAME_CHARS]}"
        if not isinstance(classes, dict):
            raise Refused("type", "expected counts by class", where)
        _check_name(area, where)
        found[area] = _by_class(classes, where)
    return found or _crossed(value)


def _by_class(classes: Tree, where: str) -> dict[str, int]:
    if len(classes) > _MAX_CLASSES:
        raise Refused("length", f"at most {_MAX_CLASSES} classes are taken", where)
    counts: dict[str, int] = {}
    for name in classes:
        _check_name(name, where)
        count = count_of(classes, name, f"{where}.")
        if count is not None:
            counts[name] = count
    return counts


def _crossed(value: Tree) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    crossed: Counter[tuple[str, str]] = Counter()
    history = value.get("counterHistory", value.get("counterData"))
    for item in _items(history):
        area, name = text_of(item, "area", "counterHistory."), text_of(item, "name", "counterHistory.")
        if area is None or name is None:
            raise Refused("required", "this field is required", "counterHistory.area")
        crossed[area, name] += 1
    for (where, label), count in crossed.items():
        found.setdefault(where, {})[label] = count
    return found


def _items(history: object) -> Iterator[Tree]:
    """Yield counted items; OpenDataCam lists them by frame."""
    if isinstance(history, list):
        for each in history:
            yield from maps_of(each)


def _check_name(name: str, where: str) -> None:
    if not 0 < len(name) <= _MAX_NAME_CHARS or not name.isprintable():
        raise Refused("length", f"expected a name of 1…{_MAX_NAME_CHARS} printable characters", where)


def _sum(counts: dict[str, int], names: frozenset[str]) -> int:
    total = sum(count for name, count in counts.items() if name.lower() in names)
    if total > COUNT_MAX:
        raise Refused("in_range", f"{total} is not within 0…{COUNT_MAX:g}", "counterSummary")
    return total


def _objects(frame: Tree, line: int, raw: bytes, context: DecodeContext) -> Iterator[Decoded]:
    stamp = text_of(frame, "timestamp")
    time_us = context.now_us if stamp is None else moment_us(stamp, context.zone, "timestamp")
    recording = text_of(frame, "recordingId") or ""
    size = map_of(frame, "resolution")
    width = number_of(size, "w", 1, 100_000, "videoResolution.")
    height = number_of(size, "h", 1, 100_000, "videoResolution.")
    for number, each in enumerate(maps_of(frame.get("objects"))):
        under = f"objects[{number}]."
        name, track = text_of(each, "name", under), text_of(each, "id", under)
        if name is None:
            raise Refused("required", "this field is required", under + "name")
        box = None
        if width and height:
            x, y, w, h = (number_of(each, side, -100_000, 100_000, under) or 0 for side in "xywh")
            box = ((x - w / 2) / width, (y - h / 2) / height, w / width, h / height)
        confidence = number_of(each, "confidence", 0, 1, under)
        yield Decoded(
            line=line,
            id=id_of("tracked", recording, text_of(frame, "frame"), time_us, number, track),
            source=context.device_id,
            time_us=time_us,
            data=CameraObject(
                label=name,
                confidence=1.0 if confidence is None else confidence,
                track_id=track,
                box=box,
                extra=extra_of(each, (("bearing", "bearing_in_picture_deg"),)),
            ),
            raw=raw,
        )
