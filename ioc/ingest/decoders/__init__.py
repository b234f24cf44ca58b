"""Decoders by the name a device is registered with; a new family of senders is one module and one line."""

from typing import Final

from ioc.ingest.decoders.axis import Axis
from ioc.ingest.decoders.base import Decoder
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.decoders.frigate import Frigate
from ioc.ingest.decoders.ngsi import Ngsi
from ioc.ingest.decoders.onvif import Onvif
from ioc.ingest.decoders.open311 import Open311
from ioc.ingest.decoders.opendatacam import OpenDataCam
from ioc.ingest.decoders.tabular import Tabular

DECODERS: Final[dict[str, Decoder]] = {
    "axis": Axis(),
    "cloudevents": CloudEvents(),
    "frigate": Frigate(),
    "ngsi": Ngsi(),
    "onvif": Onvif(),
    "open311": Open311(),
    "opendatacam": OpenDataCam(),
    "tabular": Tabular(),
}
