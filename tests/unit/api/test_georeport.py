"""Documents of GeoReport v2 beside the specification's examples and other cities' answers."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from ioc.api import georeport as doc

AMERICA, STATUS = "fixtures-codeforamerica", "fixtures-open311status"
AT = datetime(2026, 11, 28, 8, tzinfo=UTC)

SERVICE = doc.Service(
    service_code="light", service_name="Đèn", description="", metadata=True, group="hạ tầng"
)
REQUEST = doc.ServiceRequest(
    service_request_id="261128-1",
    status="open",
    service_name="Đèn",
    service_code="light",
    requested_datetime=AT,
    lat=10.98,
    long=106.65,
)
ATTRIBUTE = doc.Attribute(
    code="pole",
    datatype="singlevaluelist",
    required=True,
    order=1,
    description="Số trụ",
    values=[doc.AttributeValue(key="1", name="Một")],
)
OURS: dict[str, doc.Document] = {
    "services": doc.ServiceList(services=[SERVICE]),
    "service_definition": doc.ServiceDefinition(service_code="light", attributes=[ATTRIBUTE]),
    "post": doc.RequestList(service_requests=[doc.Created(service_request_id="1")]),
    "token": doc.RequestList(service_requests=[doc.OfToken(service_request_id="1", token="t")]),
    "service_requests": doc.RequestList(service_requests=[REQUEST]),
    "errors": doc.ErrorList(errors=[doc.Error(code=404, description="Không có")]),
}


@pytest.fixture
def samples(shared_data: Path) -> Path:
    return shared_data / "open311"


def parsed(document: doc.Document) -> Element:
    found: Element = fromstring(doc.render(document, "xml"), forbid_dtd=True)
    return found


def paths(element: Element, above: str = "") -> set[str]:
    """Return the path of every element below, as `/services/service/service_code`."""
    here = f"{above}/{element.tag}"
    return {here}.union(*(paths(child, here) for child in element))


def kind_of_example(example: Element) -> str:
    names = paths(example)
    if any(name.endswith("/token") for name in names):
        return "token"
    if any(name.endswith("/account_id") for name in names):
        return "post"
    return example.tag


def test_our_xml_has_exactly_the_elements_of_every_example_in_the_specification(samples: Path) -> None:
    text = (samples / "spec" / "georeport-v2.md").read_text()
    examples = [fromstring(found) for found in re.findall(r"<\?xml.*?(?=~~~~)", text, re.DOTALL)]
    kinds = [kind_of_example(example) for example in examples]
    assert set(kinds) == set(OURS)
    for kind, example in zip(kinds, examples, strict=True):
        assert paths(parsed(OURS[kind])) == paths(example), kind


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (f"{AMERICA}/get_service_request.xml", "service_requests"),
        (f"{AMERICA}/service_requests.xml", "service_requests"),
        (f"{AMERICA}/post_service_request.xml", "post"),
        (f"{AMERICA}/request_id_from_token.xml", "token"),
        (f"{AMERICA}/get_service_request_not_found.xml", "errors"),
        (f"{AMERICA}/services.xml", "services"),
        (f"{STATUS}/requests_single.xml", "service_requests"),
        (f"{STATUS}/requests_many.xml", "service_requests"),
    ],
)
def test_our_xml_has_exactly_the_elements_of_other_cities_answers(
    samples: Path, sample: str, kind: str
) -> None:
    assert paths(parsed(OURS[kind])) == paths(fromstring((samples / sample).read_bytes()))


def test_what_other_cities_leave_out_is_all_that_differs(samples: Path) -> None:
    # An attribute stands there without the list around it, as an early draft had it.
    definition = paths(fromstring((samples / AMERICA / "service_definition.xml").read_bytes()))
    assert {
        path.replace("/attributes", "") for path in paths(parsed(OURS["service_definition"]))
    } == definition
    giessen = paths(fromstring((samples / STATUS / "services_giessen.xml").read_bytes()))
    assert giessen < paths(parsed(OURS["services"]))
    empty = fromstring((samples / AMERICA / "service_requests_empty.xml").read_bytes())
    assert paths(parsed(doc.RequestList(service_requests=[]))) == paths(empty)


@pytest.mark.parametrize(
    ("sample", "kind"), [("service_list.json", "services"), ("service_requests.json", "service_requests")]
)
def test_our_json_has_the_names_and_types_of_other_cities_answers(
    samples: Path, sample: str, kind: str
) -> None:
    (ours,) = json.loads(doc.render(OURS[kind], "json"))
    theirs: list[dict[str, Any]] = json.loads((samples / STATUS / sample).read_bytes())
    for item in theirs:
        for name, value in item.items():
            assert name in ours
            assert ours[name] is None or type(ours[name]) is type(value), name


def test_json_is_the_list_itself_and_what_is_empty_is_null() -> None:
    found = json.loads(doc.render(OURS["post"], "json"))
    assert found == [{"service_request_id": "1", "service_notice": None, "account_id": None}]
    assert json.loads(doc.render(OURS["service_definition"], "json"))["attributes"][0]["required"] is True
    assert json.loads(doc.render(doc.RequestList(service_requests=[]), "json")) == []


def test_xml_is_declared_and_its_truths_and_nothings_are_spelled_as_specified() -> None:
    text = doc.render(OURS["services"], "xml").decode()
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<services><service>')
    assert "<metadata>true</metadata>" in text and "<description/>" in text
    assert (
        "<requested_datetime>2026-11-28T08:00:00Z</requested_datetime>"
        in doc.render(OURS["service_requests"], "xml").decode()
    )


def test_discovery_names_formats_one_by_one() -> None:
    endpoint = doc.Endpoint(
        specification="s", url="u", changeset=AT, type="production", formats=["text/xml", "application/json"]
    )
    document = doc.Discovery(changeset=AT, contact=None, key_service="k", endpoints=[endpoint])
    formats = parsed(document).findall("endpoints/endpoint/formats/format")
    assert [found.text for found in formats] == ["text/xml", "application/json"]
    assert json.loads(doc.render(document, "json"))["endpoints"][0]["formats"] == endpoint.formats


@given(st.text(st.characters(codec="utf-8")))
def test_no_text_breaks_out_of_its_element_or_is_changed_beyond_what_xml_cannot_say(text: str) -> None:
    document = doc.ErrorList(errors=[doc.Error(code=400, description=text)])
    root = parsed(document)
    assert paths(root) == {"/errors", "/errors/error", "/errors/error/code", "/errors/error/description"}
    sayable = "".join(
        char if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff") else "\ufffd"
        for char in text
    )
    assert (root.findtext("error/description") or "") == sayable
    assert json.loads(doc.render(document, "json")) == [{"code": 400, "description": text}]
