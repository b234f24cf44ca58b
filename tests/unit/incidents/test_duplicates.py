"""Reports of one thing are recognised however they are written; reports of two things stay two."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.citizen_policy import DuplicatePolicy
from ioc.incidents.duplicates import Told, candidates, fold, likeness
from ioc.model.times import DAY_US, HOUR_US

POLICY = DuplicatePolicy()
NOW_US = 1_780_000_000_000_000
WORDS = st.sampled_from(
    "ngập nước đường trước cổng ổ gà sâu xe té ngã rác hôi đèn không sáng cây đổ 25 phường".split()  # noqa: SIM905
)
TEXTS = st.lists(WORDS, min_size=1, max_size=15).map(" ".join)


def told(number: int, text: str = "Ổ gà sâu trước cổng trường", **changes: object) -> Told:
    fields: dict[str, object] = {
        "id": f"r-{number}", "service": "road", "text": text, "time_us": NOW_US, "lon": 106.65, "lat": 10.98,
    }  # fmt: skip
    return Told(**(fields | changes))  # type: ignore[arg-type]


def bare(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@given(TEXTS)
def test_diacritics_capitals_signs_and_forms_of_unicode_do_not_matter(text: str) -> None:
    for other in (
        bare(text),
        text.upper(),
        f"  {text.replace(' ', ',  ')}!!",
        unicodedata.normalize("NFD", text),
    ):
        assert fold(other) == fold(text)
        assert likeness(text, other) == 1.0


@given(TEXTS, TEXTS)
def test_likeness_is_mutual_and_between_nothing_and_the_same(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0.0 <= likeness(one, other) <= 1.0


@given(st.lists(TEXTS, max_size=8), TEXTS)
def test_what_is_offered_does_not_depend_on_the_order_of_the_reports(texts: list[str], text: str) -> None:
    earlier = [told(n, each, lon=106.65 + n * 0.0003) for n, each in enumerate(texts)]
    new = told(99, text)
    found = candidates(new, earlier, POLICY)
    assert found == candidates(new, reversed(earlier), POLICY)
    assert all(item.likeness >= POLICY.merge_from for item in found if item.verdict == "merge")


@pytest.mark.parametrize(
    "again",
    [
        "o ga sau truoc cong truong",
        "Trước cổng trường có ổ gà rất sâu",
        "ổ gà sâu ngay trước cổng trường, nguy hiểm!",
    ],
)
def test_the_same_hole_at_the_same_place_is_merged(again: str) -> None:
    (found,) = candidates(told(2, again, lon=106.6502), [told(1)], POLICY)
    assert (found.id, found.verdict) == ("r-1", "merge")


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({"lon": 106.6512}, ["offer"]),  # 130 m away: perhaps
        ({"lon": 106.6530}, []),  # 330 m away
        ({"time_us": NOW_US + 7 * DAY_US}, ["merge"]),
        ({"time_us": NOW_US + 7 * DAY_US + HOUR_US}, []),
        ({"service": "flood"}, []),
        ({"lon": None, "lat": None}, []),
    ],
)
def test_place_time_and_service_decide_what_is_compared(
    changes: dict[str, object], verdicts: list[str]
) -> None:
    found = candidates(told(2, **changes), [told(1)], POLICY)
    assert [item.verdict for item in found] == verdicts


def test_one_address_is_one_place_however_it_is_written() -> None:
    one = told(1, lon=None, lat=None, address="25 Đường Yersin, P. Phú Cường")
    two = told(2, lon=None, lat=None, address="25 đ. yersin p phu cuong")
    street = told(3, lon=None, lat=None, address="Đường Yersin")
    assert [item.verdict for item in candidates(two, [one], POLICY)] == ["merge"]
    assert candidates(street, [told(4, lon=None, lat=None, address="đường Yersin")], POLICY) == []


def test_two_things_at_one_place_are_offered_but_stay_two() -> None:
    other = told(2, "Nắp cống bể, bàn đạp xe lọt xuống")
    assert [item.verdict for item in candidates(other, [told(1)], POLICY)] == ["offer"]
