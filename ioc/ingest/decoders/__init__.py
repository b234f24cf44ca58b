"""Decoders by the name a device is registered with; a new family of senders is one module and one line."""

from typing import Final

from ioc.ingest.decoders.axis import Axis
from ioc.ingest.decoders.base import Decoder
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.decoders.frigate import Frigate
from ioc.ingest.decoders.onvif import Onvif
from ioc.ingest.decoders.opendatacam import OpenDataCam

DECODERS: Final[dict[str, Decoder]] = {
    "axis": Axis(),
    "cloudevents": CloudEvents(),
    "frigate": Frigate(),
    "onvif": Onvif(),
    "opendatacam": OpenDataCam(),
}
