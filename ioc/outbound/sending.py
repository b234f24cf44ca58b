"""What every way of telling has in common, and what settings need to know of them."""

from enum import StrEnum


class MailTls(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class DeliveryError(Exception):
    """The receiver did not take it; the message says why, in words for an engineer.

    `gone`: it says that it is there no more and wants nothing. `wait_s`: how long it asks to be left alone,
    0 where it does not.
    """

    def __init__(self, detail: str, *, gone: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(detail)
        self.gone = gone
        self.wait_s = wait_s
