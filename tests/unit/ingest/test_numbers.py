"""Numbers that senders write as texts."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.decoders.data import as_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("61", 61), ("-7", -7), ("0.95", 0.95), ("1e3", 1_000.0), ("9" * 18, 10**18 - 1)],
)
def test_what_json_would_take_for_a_number_is_one(text: str, number: float) -> None:
    assert (as_number(text), type(as_number(text))) == (number, type(number))


@pytest.mark.parametrize(
    "text",
    ["", "007", "+1", "1.", ".5", "0x10", "1_000", "nan", "1e999", "٣", "1٣", "1²", "9" * 19, " 1", "1\n"],
)
def test_every_other_text_stays_text(text: str) -> None:
    assert as_number(text) == text


@pytest.mark.parametrize("value", [None, True, 3, 2.5, ["1"], {"a": "1"}])
def test_what_is_no_text_stays_what_it_is(value: Any) -> None:
    assert as_number(value) is value


@given(st.text("-+0123456789.eE", max_size=12))
def test_a_text_is_read_as_json_reads_it(text: str) -> None:
    found = as_number(text)
    if isinstance(found, str):
        assert not re.fullmatch(r"-?[1-9]\d{0,9}", text)
    else:
        assert found == json.loads(text)
