"""Decoders by the name a device is registered with; a new family of senders is one module and one line."""

from typing import Final

from ioc.ingest.decoders.base import Decoder
from ioc.ingest.decoders.cap import Cap
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.decoders.datex2 import Datex2
from ioc.ingest.decoders.ngsi import Ngsi
from ioc.ingest.decoders.open311 import Open311
from ioc.ingest.decoders.opendatacam import OpenDataCam
from ioc.ingest.decoders.tabular import Tabular

DECODERS: Final[dict[str, Decoder]] = {
    "cap": Cap(),
    "cloudevents": CloudEvents(),
    "datex2": Datex2(),
    "ngsi": Ngsi(),
    "open311": Open311(),
    "opendatacam": OpenDataCam(),
    "tabular": Tabular(),
}
