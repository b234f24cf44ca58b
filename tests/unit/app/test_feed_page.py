"""The feed's document says what is sent: it is valid AsyncAPI, it is not stale, and real frames fit it."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from ioc.app.pages.feed import DOCUMENT, PAGE, document, document_text, page
from ioc.stream.wire import CLOSE_RULES, ClientFrame, ServerFrame
from tests.unit.stream.golden import FILE, golden, golden_text

SPECIFICATION = (
    Path(__file__).parents[3]
    / "dashboards/console/node_modules/@asyncapi/specs/schemas/3.1.0-without-$id.json"
)


def test_document_and_page_are_those_of_the_wire_types() -> None:
    assert DOCUMENT.read_text("utf-8") == document_text(), "run `python -m ioc.app.pages.feed`"
    assert PAGE.read_text("utf-8") == page(), "run `python -m ioc.app.pages.feed`"


def test_the_document_is_valid_asyncapi() -> None:
    specification = json.loads(SPECIFICATION.read_text("utf-8"))
    jsonschema.Draft7Validator(specification).validate(document())


def test_every_part_of_a_frame_has_a_type() -> None:
    def untyped(schema: Any, at: str) -> list[str]:
        if isinstance(schema, list):
            return [found for i, each in enumerate(schema) for found in untyped(each, f"{at}/{i}")]
        if not isinstance(schema, dict):
            return []
        inside = [found for key, value in schema.items() for found in untyped(value, f"{at}/{key}")]
        return inside + ([at] if schema == {} else [])

    assert untyped(document()["components"]["schemas"], "") == []


def _fits(frame: dict[str, Any], name: str) -> None:
    components = document()["components"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    jsonschema.Draft7Validator(schema).validate(frame)


def test_what_the_service_really_sends_fits_the_document() -> None:
    names = {str(each.__struct_config__.tag): each.__name__ for each in get_args(ServerFrame)}
    sent = golden()
    for frames in (sent["frames"], sent["patched"]):
        assert {frame["type"] for frame in frames} == set(names), (
            "a kind of frame is not among the golden ones"
        )
        for frame in frames:
            _fits(frame, names[frame["type"]])
    assert [event["op"] for event in _changes(sent["frames"])] == ["add", "upd", "del"]
    assert [event["op"] for event in _changes(sent["patched"])] == ["add", "patch", "del"]
    _fits(_changes(sent["patched"])[1]["incident"], "IncidentPatch")


def _changes(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (events,) = [frame["events"] for frame in frames if frame["type"] == "ev"]
    return list(events)


def test_a_frame_that_breaks_the_document_does_not_fit_it() -> None:
    ev = next(frame for frame in golden()["frames"] if frame["type"] == "ev")
    ev["events"][0]["incident"]["severity"] = "dreadful"
    with pytest.raises(jsonschema.ValidationError):
        _fits(ev, "Ev")


def test_the_document_takes_what_the_service_takes() -> None:
    for frame in get_args(ClientFrame):
        _fits(json.loads(msgspec.json.encode(frame())), frame.__name__)
    _fits({"type": "view", "bbox": [106, 10, 107, 11], "zoom": 9}, "View")
    with pytest.raises(jsonschema.ValidationError):
        _fits({"type": "view", "bbox": [106, 10, 107]}, "View")


def test_the_console_is_tested_with_frames_of_this_service() -> None:
    assert FILE.read_text("utf-8") == golden_text(), "run `python -m tests.unit.stream.golden`"


def test_every_close_code_is_explained() -> None:
    for code, rule in CLOSE_RULES.items():
        assert f"| {code} | {rule.reason} |" in page()
