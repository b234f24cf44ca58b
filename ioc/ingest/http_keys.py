"""Which device a request is from: by its key in a header, as a password, or in the address.

Hardware cannot always be told to send a header. What it can do is log in (HTTP Basic: the device's id and its
key) or post to an address that ends with the key, which therefore stands in no log and no metric of ours.
"""

import base64
import binascii
from typing import Final

from fastapi import Request

from ioc.ingest.ports import NotAuthorised
from ioc.ingest.service import IngestService
from ioc.model.places import Device

_MAX_KEY_CHARS: Final = 512
CHALLENGE: Final = 'Bearer, Basic realm="ingest"'


def authenticate(request: Request, service: IngestService) -> Device:
    """Return the device whose key authorises the request, as a bearer key or by HTTP Basic.

    Raises:
        NotAuthorised: no key, or an unknown one.
        DeviceDisabled: its device is out of service.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    credentials = credentials.strip()
    device = None
    if scheme.lower() == "bearer":
        device = _of_key(credentials, service)
    elif scheme.lower() == "basic":
        device = _of_login(credentials, service)
    if device is None:
        service.metrics.refuse("http", "key")
        detail = "send the device's key as: Authorization: Bearer <key>, or log in with its id and the key"
        raise NotAuthorised(401, detail)
    service.require_enabled(device, "http")
    return device


def authenticate_address(key: str, service: IngestService) -> Device:
    """Return the device whose key stands in the address.

    Raises:
        NotAuthorised: nobody's key.
        DeviceDisabled: its device is out of service.
    """
    device = _of_key(key, service)
    if device is None:
        service.metrics.refuse("http", "key")
        raise NotAuthorised(401, "the address must end with a device's key: /api/v1/ingest/hooks/<key>")
    service.require_enabled(device, "http")
    return device


def _of_key(key: str, service: IngestService) -> Device | None:
    return service.registry.device_of_key(key) if 0 < len(key) <= _MAX_KEY_CHARS else None


def _of_login(credentials: str, service: IngestService) -> Device | None:
    if len(credentials) > 4 * _MAX_KEY_CHARS:
        return None
    try:
        login = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    device_id, _, key = login.partition(":")
    device = service.registry.device(device_id)
    known = 0 < len(key) <= _MAX_KEY_CHARS and service.registry.owns_key(device_id, key)
    return device if known else None
