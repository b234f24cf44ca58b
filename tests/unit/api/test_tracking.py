"""Tracking codes survive being read aloud and copied by hand; a wrong one is known as wrong."""

from hypothesis import given
from hypothesis import strategies as st

from ioc.model.tracking import ALPHABET, RANDOM_BYTES, make_code, read_code

CODES = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES).map(make_code)


@given(CODES)
def test_a_code_is_read_however_it_is_spelt(code: str) -> None:
    for text in (code, code.lower(), code.replace("-", ""), f" {code.replace('-', ' ')} "):
        assert read_code(text) == code
    assert read_code(code.replace("0", "o").replace("1", "l")) == code


@given(CODES, st.integers(0, 12), st.sampled_from(ALPHABET))
def test_one_wrong_sign_always_shows(code: str, place: int, sign: str) -> None:
    if code[place] not in ("-", sign):
        assert read_code(code[:place] + sign + code[place + 1 :]) is None


@given(st.text(max_size=30))
def test_what_is_no_code_is_none(text: str) -> None:
    found = read_code(text)
    assert found is None or read_code(found) == found
