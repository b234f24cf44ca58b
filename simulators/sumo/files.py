"""The files that SUMO is given: read once before it reads them, because a broken one takes it down."""

import gzip
from pathlib import Path
from typing import Final
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import defusedxml.sax
import msgspec
from defusedxml.common import DefusedXmlException

from simulators.sumo import SumoError

_UNPROJECTED: Final = "!"
LonLat = tuple[float, float]


class Files(msgspec.Struct, frozen=True):
    """A network and what runs on it. `origin` is where the network's 0,0 lies, for one without projection."""

    net: Path
    routes: Path | None = None
    additional: Path | None = None
    origin: LonLat | None = None


def checked(files: Files) -> Files:
    """Return `files` once they are known to be what they are given for.

    Raises:
        SumoError: a file cannot be read, is another kind of file, or the network does not say where it lies.
    """
    net = _head(files.net, "net", "--net")
    if files.routes is not None:
        _head(files.routes, "routes", "--routes")
    if files.additional is not None:
        _head(files.additional, "additional", "--additional")
    if net.projection in (None, _UNPROJECTED) and files.origin is None:
        raise SumoError(
            f"--net {files.net}: it has no projection, so nobody knows where it lies; "
            "give the degrees of its point 0,0 by --origin lon,lat"
        )
    return files


def origin_of(text: str) -> LonLat:
    """Return the degrees in `lon,lat`.

    Raises:
        SumoError: it says something else.
    """
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise SumoError(f"--origin wants lon,lat in degrees, such as 106.65,10.98, not {text!r}") from None
    if not (-180 <= lon <= 180 and -85 <= lat <= 85):
        raise SumoError(f"--origin {text}: a longitude within 180 and a latitude within 85, in this order")
    return lon, lat


class _Head(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: str | None = None
        self.projection: str | None = None

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - the parser calls it
        if self.root is None:
            self.root = name
        elif name == "location":
            self.projection = attrs.get("projParameter")


def _head(path: Path, root: str, option: str) -> _Head:
    head = _Head()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            defusedxml.sax.parse(file, head)
    except (OSError, EOFError, SAXException, DefusedXmlException, UnicodeError) as problem:
        raise SumoError(f"{option} {path}: cannot be read ({problem})") from problem
    if head.root != root:
        raise SumoError(f"{option} {path}: a file of <{head.root}>, not of <{root}>; SUMO's own is meant")
    return head
