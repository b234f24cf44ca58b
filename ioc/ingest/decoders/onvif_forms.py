"""ONVIF's messages in JSON, as msgspec reads them."""

from typing import Any

import msgspec


class JsonMessage(msgspec.Struct):
    """Every JSON form; which fields are there says which form it is."""

    UtcTime: str | None = None
    Source: Any = None
    Key: Any = None
    Data: Any = None
    PropertyOperation: str | None = None
    Topic: Any = None
    Message: Any = None
    Frame: Any = None
    VideoAnalytics: Any = None
    MetadataStream: Any = None
    SensorData: Any = None
    PTZ: Any = None
    PTZStatus: Any = None
    AudioAnalytics: Any = None
    AudioDescriptor: Any = None
