"""A little ONVIF camera: a pull point behind WS-UsernameToken, with the quirks that real ones have."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.xml import parse_xml, text_of
from tests.integration.app.fake_cameras import Asked, once

NOTICE = (
    '<wsnt:NotificationMessage><wsnt:Topic Dialect="x">tns1:RuleEngine/LineDetector/Crossed</wsnt:Topic>'
    '<wsnt:Message><tt:Message UtcTime="2026-11-22T09:59:{:02d}Z" PropertyOperation="Changed"><tt:Source>'
    '<tt:SimpleItem Name="Rule" Value="gate"/></tt:Source><tt:Data><tt:SimpleItem Name="ObjectId" Value="1"/>'
    "</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
)
ENVELOPE = (
    '<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:wsa5="http://www.w3.org/2005/08/addressing" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error"'
    ' xmlns:dom0="http://www.axis.com/2009/event"><SOAP-ENV:Body>{}</SOAP-ENV:Body></SOAP-ENV:Envelope>'
)
FAULT = (
    "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value><SOAP-ENV:Subcode>"
    "<SOAP-ENV:Value>ter:{}</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code><SOAP-ENV:Reason>"
    '<SOAP-ENV:Text xml:lang="en">{}</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>'
)


class OnvifCamera:
    """Answers like a camera whose clock is `ahead`; messages are taken from `notices`, one a pull."""

    def __init__(self, user: str = "admin", password: str = "x", ahead: timedelta = timedelta()) -> None:
        self.user, self.password, self.ahead = user, password, ahead
        self.notices = iter(range(0))
        self.alive: set[str] = set()
        self.subscriptions = 0
        self.renewed = 0
        self.renews = True
        self.asked: list[str] = []
        self._nonces: set[str] = set()

    def tell(self, *numbers: int) -> None:
        """Have these to tell."""
        self.notices = iter(numbers)  # type: ignore[assignment]

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answer one request."""
        root = parse_xml(asked.body)
        body = root.find("Body")
        assert body is not None
        name = body[0].tag
        self.asked.append(name)
        assert f"/{name}" in asked.headers["content-type"] or name in asked.headers["content-type"]
        if name == "GetSystemDateAndTime":
            assert root.find(".//Security") is None
            return await self._send(writer, self._clock())
        if not self._lets_in(root):
            return await self._send(writer, FAULT.format("NotAuthorized", "Sender not Authorized"), "400 Bad")
        found = "".join(self._answers(name, asked.path, root))
        return await self._send(writer, found, "400 Bad Request" if "Fault" in found else "200 OK")

    def _answers(self, name: str, path: str, root: Element) -> Iterator[str]:
        if name == "GetCapabilities":
            yield (
                "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Events><tt:XAddr>"
                "http://camera.invalid:8080/onvif/Events?a=1&amp;b=2</tt:XAddr></tt:Events></tds:Capabilities>"
                "</tds:GetCapabilitiesResponse>"
            )
        elif name == "CreatePullPointSubscription":
            assert path == "/onvif/Events?a=1&b=2"
            self.subscriptions += 1
            self.alive.add(str(self.subscriptions))
            yield (
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
                "<wsa5:Address>http://192.0.2.1/onvif/PullPoint</wsa5:Address><wsa5:ReferenceParameters>"
                f"<dom0:SubscriptionId>{self.subscriptions}</dom0:SubscriptionId></wsa5:ReferenceParameters>"
                f"</tev:SubscriptionReference>{self._term(2)}</tev:CreatePullPointSubscriptionResponse>"
            )
        elif path != "/onvif/PullPoint" or text_of(root, "Header/SubscriptionId") not in self.alive:
            yield FAULT.format("InvalidArgVal", "no such subscription")
        elif name == "PullMessages":
            told = [NOTICE.format(number) for number in (next(self.notices, None),) if number is not None]
            yield f"<tev:PullMessagesResponse>{self._term(2)}{''.join(told)}</tev:PullMessagesResponse>"
        elif name == "Renew" and self.renews:
            self.renewed += 1
            yield f"<wsnt:RenewResponse>{self._term(600)}</wsnt:RenewResponse>"
        elif name == "Unsubscribe":
            self.alive.clear()
            yield "<wsnt:UnsubscribeResponse/>"
        else:
            yield FAULT.format("ActionNotSupported", "not implemented")

    def _lets_in(self, root: Element) -> bool:
        token = root.find("Header/Security/UsernameToken")
        nonce, created = text_of(token, "Nonce") or "", text_of(token, "Created") or ""
        if token is None or nonce in self._nonces or text_of(token, "Username") != self.user:
            return False
        self._nonces.add(nonce)
        if abs(datetime.fromisoformat(created) - self.now) > timedelta(seconds=5):
            return False
        digest = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode())
        return text_of(token, "Password") == base64.b64encode(digest.digest()).decode()

    def _term(self, seconds: int) -> str:
        now, end = self.now, self.now + timedelta(seconds=seconds)
        return (
            f"<tev:CurrentTime>{now:%Y-%m-%dT%H:%M:%SZ}</tev:CurrentTime>"
            f"<wsnt:TerminationTime>{end:%Y-%m-%dT%H:%M:%SZ}</wsnt:TerminationTime>"
        )

    def _clock(self) -> str:
        now = self.now
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
            "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, body: str, status: str = "200 OK") -> bool:
        answer = once(status, ENVELOPE.format(body).encode(), "Content-Type: application/soap+xml")
        return await answer(Asked("", "", {}, b""), writer)
