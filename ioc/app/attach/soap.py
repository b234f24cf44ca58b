"""What is said to an ONVIF camera's pull point, and what it answers. Pure.

SOAP 1.2 with WS-Addressing and, where there is a login, WS-UsernameToken with a password digest. Cameras
differ in namespaces and prefixes, so answers are read by local names.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.xml import parse_xml, text_of
from ioc.model.times import SECOND_US
from ioc.outbound.camera import Login

MAX_REFERENCE_BYTES: Final = 4_096
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
_EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
_NOTIFY: Final = "http://docs.oasis-open.org/wsn/b-2"
_LOGIN_FAULTS: Final = ("notauthorized", "failedauthentication", "unauthorized")


class AnswerError(ValueError):
    """An answer that cannot be read; the message says what was expected."""


class SoapFault(Exception):
    """The camera says no, in its own words."""

    def __init__(self, codes: tuple[str, ...], reason: str) -> None:
        super().__init__(": ".join(part for part in (" ".join(codes), reason) if part)[:300])
        names = {code.rpartition(":")[2].lower() for code in codes}
        self.is_login = any(name in names for name in _LOGIN_FAULTS)


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    action: str
    body: str


@dataclass(frozen=True)
class Subscription:
    """A pull point that a camera made for us."""

    address: str
    references: str
    """Elements that every request to it must carry in its header, as XML."""
    term_s: float | None
    """How long it lives unless it is renewed; None where the camera does not say."""


CLOCK: Final = Request(f"{_DEVICE}/GetSystemDateAndTime", f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>')
CAPABILITIES: Final = Request(
    f"{_DEVICE}/GetCapabilities",
    f'<GetCapabilities xmlns="{_DEVICE}"><Category>Events</Category></GetCapabilities>',
)
UNSUBSCRIBE: Final = Request(
    "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest",
    f'<Unsubscribe xmlns="{_NOTIFY}"/>',
)


def subscribe(term_s: int) -> Request:
    """Return the request for a pull point that lives for `term_s`."""
    return Request(
        f"{_EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
        f'<CreatePullPointSubscription xmlns="{_EVENTS}">'
        f"<InitialTerminationTime>PT{term_s}S</InitialTerminationTime></CreatePullPointSubscription>",
    )


def pull(wait_s: int, most: int) -> Request:
    """Return the request for up to `most` messages, for which the camera may wait `wait_s`."""
    return Request(
        f"{_EVENTS}/PullPointSubscription/PullMessagesRequest",
        f'<PullMessages xmlns="{_EVENTS}"><Timeout>PT{wait_s}S</Timeout>'
        f"<MessageLimit>{most}</MessageLimit></PullMessages>",
    )


def renew(term_s: int) -> Request:
    """Return the request to let a pull point live for another `term_s`."""
    return Request(
        "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest",
        f'<Renew xmlns="{_NOTIFY}"><TerminationTime>PT{term_s}S</TerminationTime></Renew>',
    )


def content_type(request: Request) -> str:
    """Return the media type that names the action, as SOAP 1.2 has it."""
    return f'application/soap+xml; charset=utf-8; action="{request.action}"'


def envelope(
    request: Request, to: str, login: Login | None, now: datetime, nonce: bytes, references: str = ""
) -> bytes:
    """Return the message.

    Args:
        request: what is asked for.
        to: the address it goes to.
        login: sent as a digest; None sends none.
        now: by the camera's clock, since it refuses old messages.
        nonce: random, another one each time; it also names the message.
        references: `Subscription.references`.
    """
    security = "" if login is None else _security(login, now.astimezone(UTC), nonce)
    message_id = f"urn:uuid:{hashlib.md5(nonce, usedforsecurity=False).hexdigest()}"
    text = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        ' xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
        f"<a:Action>{request.action}</a:Action><a:MessageID>{message_id}</a:MessageID>"
        f"<a:To>{escape(to)}</a:To>{references}{security}"
        f"</s:Header><s:Body>{request.body}</s:Body></s:Envelope>"
    )
    return text.encode()


def _security(login: Login, now: datetime, nonce: bytes) -> str:
    created = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    digest = hashlib.sha1(nonce + created.encode() + login.password.encode(), usedforsecurity=False).digest()
    secext, utility = f"{_WSSE}wssecurity-secext-1.0.xsd", f"{_WSSE}wssecurity-utility-1.0.xsd"
    return (
        f'<w:Security xmlns:w="{secext}" xmlns:u="{utility}" s:mustUnderstand="1"><w:UsernameToken>'
        f"<w:Username>{escape(login.user)}</w:Username>"
        f'<w:Password Type="{_WSSE}username-token-profile-1.0#PasswordDigest">{_base64(digest)}</w:Password>'
        f'<w:Nonce EncodingType="{_WSSE}soap-message-security-1.0#Base64Binary">{_base64(nonce)}</w:Nonce>'
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# Answers


class Answer(NamedTuple):
    """What a camera answered: the element within the SOAP body, by local names, and all of it."""

    inside: Element
    body: bytes


def read_answer(body: bytes) -> Answer:
    """Return an answer that is no refusal.

    Raises:
        SoapFault: it is a refusal.
        AnswerError: it is no SOAP.
    """
    try:
        root = parse_xml(body)
    except Refused as error:
        raise AnswerError(f"answered no SOAP: {error.detail}") from error
    holder = root.find("Body")
    inside = next(iter(holder), None) if holder is not None else None
    if root.tag != "Envelope" or inside is None:
        raise AnswerError(f"answered <{str(root.tag)[:60]}>, expected a SOAP envelope")
    if inside.tag == "Fault":
        codes = [
            each.text.strip() for each in inside.iter() if each.tag in ("Value", "faultcode") and each.text
        ]
        reason = text_of(inside, "Reason/Text") or text_of(inside, "faultstring") or ""
        raise SoapFault(tuple(codes), reason)
    return Answer(inside, body)


def read_clock(answer: Element) -> datetime | None:
    """Return the camera's time; None where it says none that is one."""
    utc = answer.find(".//UTCDateTime")
    numbers = [text_of(utc, path) or "" for path in (
        "Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second",
    )]  # fmt: skip
    try:
        year, month, day, hour, minute, second = map(int, numbers)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def read_events_address(answer: Element) -> str | None:
    """Return where the service of events is; None where there is none."""
    return text_of(answer, ".//Events/XAddr")


def read_subscription(answer: Answer) -> Subscription:
    """Return the pull point of an answer to `subscribe`.

    Raises:
        AnswerError: it holds none.
    """
    address = text_of(answer.inside, ".//SubscriptionReference/Address")
    if address is None:
        raise AnswerError("made a subscription without an address")
    return Subscription(address, _references(answer.body), read_term_s(answer.inside))


def read_term_s(answer: Element) -> float | None:
    """Return how long a pull point lives from now on, by the camera's own clock."""
    times = [text_of(answer, f".//{name}") for name in ("CurrentTime", "TerminationTime")]
    try:
        now_us, end_us = (moment_us(written or "", UTC, "time") for written in times)
    except Refused:
        return None
    term_s = (end_us - now_us) / SECOND_US
    return term_s if 0 < term_s <= timedelta(days=1).total_seconds() else None


def _references(body: bytes) -> str:
    """Return the reference parameters with their own namespaces, as they go into headers."""
    try:
        root = fromstring(body.strip(b" \t\r\n\0"), forbid_dtd=True)
    except (DefusedXmlException, ParseError, ValueError, LookupError) as error:
        raise AnswerError("answered no SOAP") from error
    found = "".join(
        tostring(child, "unicode")
        for element in root.iter()
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == "ReferenceParameters"
        for child in element
    )
    if len(found) > MAX_REFERENCE_BYTES:
        raise AnswerError(f"asks for more than {MAX_REFERENCE_BYTES} bytes in each request")
    return found
