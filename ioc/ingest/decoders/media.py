"""Media types as senders write them."""

from email.message import Message
from typing import Final

XML_TYPES: Final = ("application/xml", "text/xml", "application/soap+xml")
MULTIPART_TYPES: Final = ("multipart/form-data", "multipart/mixed", "multipart/x-mixed-replace")


def media_type(header: str | None) -> tuple[str | None, str | None]:
    """Return a Content-Type's media type in lower case and its `boundary`, None for what it lacks."""
    if not header:
        return None, None
    media, parameters = header.partition(";")[::2]
    boundary = None
    if parameters:
        message = Message()
        message["content-type"] = header
        boundary = message.get_boundary()
    return media.strip().lower() or None, boundary
