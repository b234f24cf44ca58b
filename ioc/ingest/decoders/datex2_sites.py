"""DATEX II MeasurementSiteTablePublication: each site becomes a registered detector.

What the decoder of measurements needs of the table travels in the device's options: which index is which
lane, the period, a stretch's length. Of values measured by vehicle class only those of all vehicles are used
where there are such, else the classes are added up.
"""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.datex2_forms import Identified
from ioc.ingest.decoders.datex2_lift import lift, object_of, plain, word_at
from ioc.ingest.decoders.datex2_measured import INDEX_OPTION, LENGTH_OPTION, PERIOD_OPTION, WHOLE
from ioc.ingest.decoders.datex2_texts import identity, label, number, words
from ioc.ingest.decoders.datex2_tree import publications, read_tree
from ioc.ingest.decoders.positions import place_of
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.ingest.decoders.xml import children, own_text, text_of
from ioc.model.places import Device, DeviceKind

MAX_OPTION_CHARS: Final = 200
MAX_LANES: Final = 28
_LANGUAGES: Final = ("vi", "en")
_WHOLE_LANES: Final = frozenset({"allLanesCompleteCarriageway", "allLanes"})
_ANY_VEHICLE: Final = ("anyVehicle", None)
"""In this order, so that a table imported twice gives the same options."""
_VALUE_TYPES: Final = (
    "trafficSpeed",
    "trafficFlow",
    "trafficConcentration",
    "travelTimeInformation",
    "travelTime",
    "trafficStatusInformation",
)


class SiteTableError(Exception):
    """The file cannot be used; the message names each site, field and rule."""


def read_sites(body: bytes, publisher: Device) -> list[Device]:
    """Return a detector for each site of a table that `publisher` will send measurements of.

    The id is the site's, put together as the decoder does; a site without coordinates has no position.

    Raises:
        SiteTableError: not a table of sites, or sites that cannot be registered (all are listed, up to 20).
    """
    try:
        root = read_tree(body).root
    except Refused as refused:
        raise SiteTableError(f"{refused.field or 'file'}: {refused.detail}") from None
    context = DecodeContext(device_id=publisher.id, now_us=0, options=publisher.options)
    devices: dict[str, Device] = {}
    faults = []
    for number_of, site in enumerate(_sites(root), 1):
        try:
            device = _device(site, context)
        except Refused as refused:
            faults.append(f"site {number_of}: {refused.field}: {refused.detail}")
            continue
        if devices.setdefault(device.id, device) is not device:
            faults.append(f"site {number_of}: id: {device.id!r} is already the id of another site")
    if faults:
        more = [f"and {len(faults) - 20} more"] if len(faults) > 20 else []
        raise SiteTableError("\n".join(faults[:20] + more))
    if not devices:
        raise SiteTableError(
            "no measurementSiteTable with sites in it; is this a MeasurementSiteTablePublication?"
        )
    return list(devices.values())


def _sites(root: Element) -> Iterator[Element]:
    for publication in publications(root):
        for table in publication.iter("measurementSiteTable"):
            yield from (site for site in table if site.tag in ("measurementSite", "measurementSiteRecord"))


def _device(site: Element, context: DecodeContext) -> Device:
    name = identity(lift(site, Identified), "measurementSite.id")
    device_id = context.part(name)
    if len(device_id) > MAX_ID_CHARS:
        detail = f"with the publisher's prefix it has more than {MAX_ID_CHARS} characters"
        raise Refused("length", detail, "measurementSite.id")
    location = site.find("measurementSiteLocation")
    place = None if location is None else place_of(object_of(location)).position()
    options, period_s = _options(site)
    length_m = next((number(own_text(found)) for found in site.iter("lengthAffected")), None)
    if length_m:
        options[LENGTH_OPTION] = f"{length_m:g}"
    return Device(
        id=device_id,
        kind=DeviceKind.DETECTOR,
        name=(label(_name(site)) or name)[:200],
        lon=place[0] if place else None,
        lat=place[1] if place else None,
        expected_interval_s=period_s,
        options=options,
    )


def _name(site: Element) -> str | None:
    found = site.find("measurementSiteName")
    return None if found is None else words(plain(found), _LANGUAGES)


def _options(site: Element) -> tuple[dict[str, str], float | None]:
    """Return a site's options and the shortest of its periods."""
    indexes: dict[tuple[str, str], dict[str | None, list[str]]] = {}
    periods: list[float] = []
    for outer in children(site, "measurementSpecificCharacteristics"):
        index = outer.get("index") or text_of(outer, "index")
        inner = outer.find("measurementSpecificCharacteristics")
        inner = outer if inner is None else inner
        kind = word_at(inner, "specificMeasurementValueType")
        if index is None or kind not in _VALUE_TYPES:
            continue
        if (period_s := number(text_of(inner, "period"))) and period_s > 0:
            periods.append(period_s)
        classes = indexes.setdefault((_lane(inner), kind), {})
        classes.setdefault(_vehicle_class(inner), []).append(index)
    lanes: dict[str, list[str]] = {}
    for (lane, _), classes in indexes.items():
        whole = [found for name in _ANY_VEHICLE for found in classes.get(name, ())]
        chosen = whole or [found for each in classes.values() for found in each]
        lanes.setdefault(lane, []).extend(chosen)
    options = {INDEX_OPTION + lane: " ".join(found) for lane, found in lanes.items()}
    if len(options) > MAX_LANES or any(len(text) > MAX_OPTION_CHARS for text in options.values()):
        detail = f"at most {MAX_LANES} lanes of {MAX_OPTION_CHARS} characters of indexes each are taken"
        raise Refused("length", detail, "measurementSite.measurementSpecificCharacteristics")
    if periods:
        options[PERIOD_OPTION] = f"{min(periods):g}"
    return options, min(periods, default=None)


def _lane(inner: Element) -> str:
    found = inner.find("specificLane")
    if found is None:
        return WHOLE
    if (of_road := number(text_of(found, "laneNumber"))) is not None:
        return f"lane{of_road:g}"
    lane = label(word_at(found, "laneUsage") or own_text(found))
    return WHOLE if lane is None or lane in _WHOLE_LANES else lane[:64]


def _vehicle_class(inner: Element) -> str | None:
    """Return what tells a class of vehicles apart, None for all of them."""
    found = inner.find("specificVehicleCharacteristics")
    if found is None:
        return None
    texts = [text for part in found.iter() if (text := own_text(part))]
    return " ".join(texts) or None
