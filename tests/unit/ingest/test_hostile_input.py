"""No bytes whatever make a decoder raise, or let through what the log and the history cannot hold."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, TooManyEvents
from ioc.ingest.decoders.data import (
    COUNT_MAX,
    MAX_EXTRA_FIELDS,
    MAX_EXTRA_KEY_CHARS,
    MAX_NAME_CHARS,
    NAMES,
    RANGES,
)
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.events import Event, encode_event
from tests.conformance import NOW_US, Sample, samples

SAMPLES = [sample for sample in samples() if sample.content is not None and len(sample.content) < 200_000]
BY_DECODER = {name: [sample for sample in SAMPLES if sample.decoder == name] for name in DECODERS}

PIECES = st.sampled_from(
    [
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"null",
        b"[]",
        b"{}",
        b"[[",
        b"}}",
        b"<",
        b"</",
        b"]]>",
        b"&amp;",
        b"&x;",
        b"-1",
        b"1e400",
        b"NaN",
        b"9" * 30,
        b"0.0000001",
        b'"' + b"x" * 400 + b'"',
        b"\\u0000",
        b"\\ud800",
        b"true",
        b'""',
        b'"1"',
        b"2026-13-45T99:99:99Z",
        b"0001-01-01T00:00:00+14:00",
        b"\r\n\r\n",
        b"--",
        b"<a/>",
    ]
)
CUTS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), max_size=4)


def broken(content: bytes, cuts: list[tuple[float, int, bytes]], end: float) -> bytes:
    """Return `content` with pieces cut out and put in, and its end cut off."""
    for where, length, piece in cuts:
        at = int(where * len(content))
        content = content[:at] + piece + content[at + length :]
    return content[: int(end * len(content)) + 1]


def assert_holdable(decode: Decode, content: bytes) -> None:
    for decoded in decode.events:
        for text in (decoded.id, decoded.source, decoded.subject or "x"):
            assert 0 < len(text) <= 2 * MAX_ID_CHARS, text
            assert text.isprintable(), text
        assert len(decoded.id) <= MAX_ID_CHARS
        assert -(2**63) < decoded.time_us < 2**63
        data = decoded.data
        assert len(data.extra) <= MAX_EXTRA_FIELDS
        for key, value in data.extra.items():
            assert len(key) <= MAX_EXTRA_KEY_CHARS
            assert value is None or isinstance(value, str | int | float), value
        for name, (low, high) in RANGES.items():
            value = getattr(data, name, None)
            assert value is None or low <= value <= high, (name, value)
        for name in NAMES:
            assert len(getattr(data, name, None) or "") <= MAX_NAME_CHARS, name
        assert all(0 <= count <= COUNT_MAX for count in getattr(data, "counts", {}).values())
        payload = encode_event(
            Event(
                id=decoded.id, source=decoded.source, time_us=decoded.time_us, received_us=NOW_US, data=data
            )
        )
        assert b"\0" not in repr(data).encode("utf-8", "surrogatepass"), "PostgreSQL holds no U+0000"
        assert len(payload) < 70_000
    for rejection in decode.rejections:
        assert rejection.rule
        assert rejection.detail
        assert len(rejection.detail) <= 600
        assert len(rejection.raw) <= len(content) + 64


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_broken_message_is_refused_or_read_and_never_raises(name: str, data: st.DataObject) -> None:
    sample: Sample = data.draw(st.sampled_from(BY_DECODER[name]))
    assert sample.content is not None
    content = broken(sample.content, data.draw(CUTS), data.draw(st.just(1.0) | st.floats(0, 1)))
    try:
        decode = sample.decode(content)
    except TooManyEvents:
        return
    assert_holdable(decode, content)


TEXTS = ["", "x" * 300, "a\0b", "\u0007", "2026-11-22"]
STRANGERS: list[Any] = [None, True, -1, 10**30, 1e300, *TEXTS, [], [[1]], {}, {"a": {}}, [None, {"b": 1}]]
"""One of every kind of value, to stand where another is expected."""


def replaced(value: Any) -> Iterator[Any]:
    """Yield `value` with each of its parts, one after the other, replaced by each of the strangers."""
    yield from STRANGERS
    if not isinstance(value, dict | list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value[:4]):
        for instead in replaced(part):
            changed = value.copy()
            changed[key] = instead
            yield changed


@pytest.mark.parametrize("name", DECODERS)
def test_any_part_of_a_json_message_may_be_of_any_kind(name: str) -> None:
    for sample in BY_DECODER[name]:
        body = (sample.body or b"").lstrip()
        if not body.startswith((b"{", b"[")):
            continue
        message, _ = json.JSONDecoder().raw_decode(body.decode())  # of many lines the first
        for value in replaced(message):
            content = json.dumps(value).encode()
            assert_holdable(sample.decode(content), content)


def noted(value: Any, note: str) -> Any:
    """Return `value` with one more member in each of its objects."""
    if isinstance(value, dict):
        return {**{key: noted(part, note) for key, part in value.items()}, "note": note}
    return [noted(part, note) for part in value] if isinstance(value, list) else value


SPEAKS_JSON = sorted(set(DECODERS) - {"cap", "datex2"})


@pytest.mark.parametrize("name", SPEAKS_JSON)
def test_text_that_spells_an_escape_is_kept_and_the_character_u0000_is_refused(name: str) -> None:
    tried = 0
    for sample in BY_DECODER[name]:
        body = (sample.body or b"").lstrip()
        if not body.startswith((b"{", b"[")):
            continue
        message, _ = json.JSONDecoder().raw_decode(body.decode())
        plain, spelt, held = (
            sample.decode(json.dumps(noted(message, note)).encode())
            for note in ("text", r"spelt \u0000, thrice: \\\u0000", "held \0")
        )
        if not plain.events:
            continue  # an unknown member is a fault of its own there
        assert len(spelt.events) == len(plain.events)
        assert [each.rule for each in spelt.rejections] == [each.rule for each in plain.rejections]
        assert held.events == []
        assert "no_nul" in {refused.rule for refused in held.rejections}
        tried += 1
    assert tried, "no sample shows it"


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=50, deadline=None)
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_noise_is_refused_with_a_reason(name: str, content: bytes) -> None:
    for sample in BY_DECODER[name][:1]:
        assert_holdable(sample.decode(content), content)


BOMBS = {
    "nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "nested elements": b"<a>" * 50_000 + b"</a>" * 50_000,
    "entities that multiply": b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
    "an outside entity": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", DECODERS)
def test_a_bomb_gives_nothing(name: str, bomb: str) -> None:
    for sample in BY_DECODER[name][:3]:
        decode = sample.decode(BOMBS[bomb])
        assert not decode.events
        assert decode.rejections
