"""The documents of Open311 GeoReport v2, as JSON and as XML. Pure.

XML comes in the shapes of the specification's examples, without namespaces; JSON is made of it by the Spark
convention: a document that is a list in XML is a bare list in JSON, and what is empty in XML is null.
"""

import re
from datetime import datetime
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

import msgspec

Kind = Literal["json", "xml"]
MEDIA_TYPES: Final[dict[Kind, str]] = {"json": "application/json", "xml": "text/xml"}
"""By extension; both are UTF-8."""

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say, not even escaped."""
_ITEMS: Final = {
    "services": "service",
    "service_requests": "request",
    "attributes": "attribute",
    "values": "value",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
"""What an item of a list is called in XML."""


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a document; fields are elements, in this order."""


class Service(_Part, frozen=True):
    """Something that can be reported; `metadata`: its definition asks for more."""

    service_code: str
    service_name: str
    description: str
    metadata: bool
    type: Literal["realtime", "batch", "blackbox"] = "realtime"
    keywords: str = ""
    group: str = ""


class AttributeValue(_Part, frozen=True):
    """One choice of an attribute."""

    key: str
    name: str


class Attribute(_Part, frozen=True, kw_only=True):
    """Something further that a service asks for."""

    variable: bool = True
    code: str
    datatype: str
    required: bool
    datatype_description: str | None = None
    order: int
    description: str
    values: list[AttributeValue] = []


class ServiceRequest(_Part, frozen=True, kw_only=True):
    """A report as everybody may see it. Positions in degrees."""

    service_request_id: str
    status: Literal["open", "closed"]
    status_notes: str | None = None
    service_name: str
    service_code: str
    description: str | None = None
    agency_responsible: str | None = None
    service_notice: str | None = None
    requested_datetime: datetime
    updated_datetime: datetime | None = None
    expected_datetime: datetime | None = None
    address: str | None = None
    address_id: str | None = None
    zipcode: str | None = None
    lat: float | None = None
    long: float | None = None
    media_url: str | None = None


class Created(_Part, frozen=True):
    """What the sender of a report gets."""

    service_request_id: str
    service_notice: str | None = None
    account_id: str | None = None


class OfToken(_Part, frozen=True):
    """The report that a token stands for."""

    service_request_id: str
    token: str


class Error(_Part, frozen=True):
    """Why there is no other document."""

    code: int
    description: str


class Endpoint(_Part, frozen=True):
    """One interface of ours."""

    specification: str
    url: str
    changeset: datetime
    type: Literal["production", "test", "acceptance"]
    formats: list[str]


class ServiceList(_Part, frozen=True):
    """What can be reported."""

    services: list[Service]


class ServiceDefinition(_Part, frozen=True):
    """What a service asks for."""

    service_code: str
    attributes: list[Attribute]


class RequestList(_Part, frozen=True):
    """Reports, or what there is to say of one."""

    service_requests: list[ServiceRequest] | list[Created] | list[OfToken]


class ErrorList(_Part, frozen=True):
    """What is wrong."""

    errors: list[Error]


class Discovery(_Part, frozen=True):
    """Where to find what, for programs."""

    changeset: datetime
    contact: str | None
    key_service: str | None
    endpoints: list[Endpoint]


Document = ServiceList | ServiceDefinition | RequestList | ErrorList | Discovery
_NAMED: Final[dict[type[Document], str]] = {
    ServiceDefinition: "service_definition",
    Discovery: "discovery",
}
"""Roots of documents that are no lists."""


def render(document: Document, kind: Kind) -> bytes:
    """Return `document` as its bytes on the wire."""
    found: dict[str, Any] = msgspec.to_builtins(document)
    root = _NAMED.get(type(document))
    if root is None:
        ((root, value),) = found.items()
    else:
        value = found
    if kind == "json":
        return msgspec.json.encode(value)
    return (_DECLARATION + _element(root, value)).encode()


def _element(name: str, value: object) -> str:
    if isinstance(value, dict):
        inner = "".join(_element(key, each) for key, each in value.items())
    elif isinstance(value, list):
        inner = "".join(_element(_ITEMS[name], each) for each in value)
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = "" if value is None else _text(str(value))
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def _text(value: str) -> str:
    # A bare carriage return would be read as a line's end.
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value), {"\r": "&#13;"})
