"""Decoders by the name a device is registered with; a new family of senders is one module and one line."""

from typing import Final

from ioc.compiled import compiled_first

__path__ = compiled_first(__path__)

from ioc.ingest.decoders.axis import Axis
from ioc.ingest.decoders.base import Decoder
from ioc.ingest.decoders.cap import Cap
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.decoders.dahua import Dahua
from ioc.ingest.decoders.datex2 import Datex2
from ioc.ingest.decoders.frigate import Frigate
from ioc.ingest.decoders.hikvision import Hikvision
from ioc.ingest.decoders.ngsi import Ngsi
from ioc.ingest.decoders.onvif import Onvif
from ioc.ingest.decoders.open311 import Open311
from ioc.ingest.decoders.opendatacam import OpenDataCam
from ioc.ingest.decoders.platerecognizer import PlateRecognizer
from ioc.ingest.decoders.tabular import Tabular

DECODERS: Final[dict[str, Decoder]] = {
    "axis": Axis(),
    "cap": Cap(),
    "cloudevents": CloudEvents(),
    "dahua": Dahua(),
    "datex2": Datex2(),
    "frigate": Frigate(),
    "hikvision": Hikvision(),
    "ngsi": Ngsi(),
    "onvif": Onvif(),
    "open311": Open311(),
    "opendatacam": OpenDataCam(),
    "platerecognizer": PlateRecognizer(),
    "tabular": Tabular(),
}

CARRIES_PICTURES: Final = frozenset({"dahua", "hikvision", "platerecognizer"})
"""Decoders whose senders put pictures beside or into their messages, which makes bodies large."""
