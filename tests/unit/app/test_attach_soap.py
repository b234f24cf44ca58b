"""What is said to pull points and what they answer, pure."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from defusedxml.ElementTree import fromstring

from ioc.app.attach import soap
from ioc.app.attach.target import Target, addresses, beside
from ioc.model.places import AttachKind
from ioc.outbound.camera import PLAIN, Login

NOW = datetime(2026, 11, 29, 3, 0, 0, 500_000, UTC)
HEAD = b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="urn:w"><e:Body>'
END = b"</e:Body></e:Envelope>"


def test_a_request_carries_the_digest_of_its_own_nonce_and_moment_and_no_password() -> None:
    nonce = bytes(range(20))
    sent = soap.envelope(
        soap.pull(10, 100), "http://c/p?a=1&b=2", Login("a<b", "bí mật"), NOW, nonce, "<x>7</x>"
    )
    root = fromstring(sent)
    text = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    expected = hashlib.sha1(nonce + b"2026-11-29T03:00:00.500Z" + "bí mật".encode()).digest()
    assert text["Password"] == base64.b64encode(expected).decode()
    assert (text["Username"], text["To"], text["x"]) == ("a<b", "http://c/p?a=1&b=2", "7")
    assert (text["Timeout"], text["MessageLimit"]) == ("PT10S", "100")
    assert "mật".encode() not in sent
    assert b"Security" not in soap.envelope(soap.CLOCK, "http://c", None, NOW, nonce)


@pytest.mark.parametrize(
    ("fault", "is_login"),
    [
        (b"<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>ter:NotAuthorized</e:Value>"
         b"</e:Subcode></e:Code><e:Reason><e:Text>no</e:Text></e:Reason></e:Fault>", True),
        (b"<e:Fault><faultcode>wsse:FailedAuthentication</faultcode><faultstring>no</faultstring></e:Fault>",
         True),
        (b"<e:Fault><e:Code><e:Value>e:Receiver</e:Value></e:Code><e:Reason><e:Text>no</e:Text></e:Reason>"
         b"</e:Fault>", False),
    ],
)  # fmt: skip
def test_a_fault_says_whether_it_is_about_the_login(fault: bytes, is_login: bool) -> None:
    with pytest.raises(soap.SoapFault, match=r"no$") as caught:
        soap.read_answer(HEAD + fault + END)
    assert caught.value.is_login is is_login


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html/>", HEAD + END, b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEAD + b"<a/>" + END, b"\xff<"],
)
def test_what_is_no_answer_is_said_to_be_none(answer: bytes) -> None:
    with pytest.raises(soap.AnswerError):
        soap.read_answer(answer)


def test_a_subscription_keeps_what_each_request_must_carry_and_its_term_by_the_cameras_clock() -> None:
    found = soap.read_subscription(
        soap.read_answer(
            HEAD + b'<R><w:SubscriptionReference xmlns:a="urn:a"><a:Address> http://c/s </a:Address>'
            b'<a:ReferenceParameters><k:Id xmlns:k="urn:k" k:t="1">7</k:Id></a:ReferenceParameters>'
            b"</w:SubscriptionReference><CurrentTime>1970-01-01T00:00:05Z</CurrentTime>"
            b"<TerminationTime>1970-01-01T00:01:05Z</TerminationTime></R>" + END
        )
    )
    assert (found.address, found.term_s) == ("http://c/s", 60.0)
    (kept,) = fromstring(f"<h>{found.references}</h>")
    assert (kept.tag, kept.text, kept.attrib) == ("{urn:k}Id", "7", {"{urn:k}t": "1"})
    with pytest.raises(soap.AnswerError, match="without an address"):
        soap.read_subscription(soap.read_answer(HEAD + b"<R/>" + END))


@pytest.mark.parametrize(
    ("kind", "url", "first"),
    [
        (AttachKind.HIKVISION, "https://c:8443", "https://c:8443/ISAPI/Event/notification/alertStream"),
        (
            AttachKind.DAHUA,
            "http://c/",
            "http://c/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=5",
        ),
        (AttachKind.DAHUA, "http://c/x?codes=[A]", "http://c/x?codes=[A]"),
        (AttachKind.ONVIF, "http://[2001:db8::1]:80", "http://[2001:db8::1]:80/onvif/device_service"),
    ],
)
def test_an_address_without_a_path_gets_the_makers_own(kind: AttachKind, url: str, first: str) -> None:
    assert addresses(Target(kind, url, PLAIN), 5)[0] == first


@pytest.mark.parametrize("named", ["http://10.9.9.9/a?b=1", "https://evil.test:99/a?b=1", "/a?b=1"])
def test_where_a_camera_sends_us_is_always_itself(named: str) -> None:
    assert beside("http://cam:8000/onvif", named) == "http://cam:8000/a?b=1"
