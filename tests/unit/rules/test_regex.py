"""Patterns mean what Python's `re` says they mean, and take time in proportion to the text."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.rules.errors import PredicateError
from ioc.rules.predicate.regex import MAX_PATTERN, MAX_STATES, Regex, compile_regex

atoms = st.sampled_from(
    ["a", "b", "á", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\W", r"[\s\d]", r"\.", "-", "1", "^", "$"]
)
patterns = st.recursive(
    atoms,
    lambda x: st.one_of(
        st.builds("{}{}".format, x, x),
        st.builds("(?:{}|{})".format, x, x),
        st.builds(
            "({}){}".format, x, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{1,2}?"])
        ),
    ),
    max_leaves=8,
)


@given(patterns, st.text("abcáÁA1.- \n_", max_size=12), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_a_pattern_agrees_with_re(pattern: str, text: str, fold: bool) -> None:
    # `$` of `re` also matches before a last newline, RE2's does not; its classes are Unicode without re.ASCII
    plain = pattern.replace("$", r"\Z").replace(r"[\s\d]", r"[\s0-9]").replace(r"\d", "[0-9]")
    expected = re.compile(plain.replace(r"\W", "[^a-zA-Z0-9_]"), re.IGNORECASE if fold else 0)
    if fold:
        pattern, text = f"(?i){pattern}", text.upper()
    try:
        compiled = Regex(pattern)
    except PredicateError as error:
        assert "states" in error.message
        return
    for _ in range(2):  # worked out, then remembered
        assert compiled.search(text) is bool(expected.search(text))


@pytest.mark.parametrize(
    ("pattern", "offset", "message"),
    [
        ("a)", 1, "')' closes nothing"),
        ("(a", 0, "a parenthesis is not closed"),
        ("*a", 0, "'*' repeats nothing"),
        ("a**", 2, "a repetition is repeated"),
        ("a{2", 1, "expected {2}"),
        ("a{2,1}", 1, "a repetition counts up to 100"),
        ("a{101}", 1, "a repetition counts up to 100"),
        ("[ab", 0, "a [set] is not closed"),
        ("[b-a]", 1, "b-a is empty"),
        (r"\b", 0, r"\b is not part of"),
        (r"(a)\1", 3, r"\1 is not part of"),
        ("(?=a)", 0, "(?…) is not part of"),
        ("a\\", 1, "\\ is not part of"),
        ("(a{100}){100}", 0, f"the pattern needs more than {MAX_STATES} states"),
        ("(" * 21, 20, "the pattern is nested deeper than 20"),
        ("a" * (MAX_PATTERN + 1), MAX_PATTERN, "the pattern is longer than 200"),
    ],
)
def test_what_is_not_in_the_subset_is_refused_with_its_place(pattern: str, offset: int, message: str) -> None:
    with pytest.raises(PredicateError) as caught:
        Regex(pattern)
    assert caught.value.offset == offset
    assert message in caught.value.message


def test_vietnamese_texts() -> None:
    flooded = compile_regex("(?i)ngập|lụt")
    assert flooded.search("Đường NGẬP sâu")
    assert flooded.search("lũ Lụt")
    assert not flooded.search("ngap")
    assert compile_regex("{a").search("x{a")
    assert compile_regex("[]a]").search("]")
    assert compile_regex("[a-]").search("-")


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(a|aa)+$", "a*a*a*a*a*b", "(x+x+)+y"])
def test_patterns_that_explode_elsewhere_are_linear(pattern: str) -> None:
    """A backtracking matcher needs 2^50000 steps here; a step is a look-up."""
    text = ("a" if "a" in pattern else "x") * 50_000 + "!"
    begun = time.perf_counter()
    assert compile_regex(pattern).search(text) is False
    assert time.perf_counter() - begun < 5


def test_remembered_steps_are_bounded() -> None:
    compiled = Regex(".z")
    for number in range(12_000):
        compiled.search(chr(0x4E00 + number % 20_000) + "y")
    assert len(compiled._steps) <= 5_000
