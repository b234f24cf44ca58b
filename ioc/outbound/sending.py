"""What every way of telling has in common, and what settings need to know of them."""

from enum import StrEnum


class MailTls(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class DeliveryError(Exception):
    """The receiver did not take it; the message says why, in words for an engineer."""
