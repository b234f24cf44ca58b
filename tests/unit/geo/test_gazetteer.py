"""Where an address is, however people write it; and that what could be several places is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.geo.gazetteer import Address, Gazetteer, PlacedBy, fold

WARDS = [("25747", "Phường Thủ Dầu Một"), ("25750", "Phường Phú Lợi"), ("25760", "Phường Bình Dương")]


def address(code: str, text: str, lon: float, ward: str, *old: str) -> Address:
    return Address(code=code, address=text, lon=lon, lat=10.98, ward=ward, old_wards=old)


LE_LOI = address("BD-0001", "12 Đường Lê Lợi, Phường Thủ Dầu Một", 106.650, "25747", "Phường Phú Cường")
BOOK = Gazetteer(
    [
        LE_LOI,
        address("BD-0002", "14 Đường Lê Lợi, Phường Thủ Dầu Một", 106.651, "25747", "Phường Phú Cường"),
        address("BD-0003", "12/3A Đường Yersin, Phường Thủ Dầu Một", 106.655, "25747", "Phường Phú Cường"),
        address(
            "BD-0004", "12 Đường Cách Mạng Tháng Tám, Phường Phú Lợi", 106.690, "25750", "Phường Phú Hòa"
        ),
        address("BD-0005", "5 Đường Nguyễn Huệ, Phường Phú Lợi", 106.691, "25750", "Phường Phú Hòa"),
        address("BD-0006", "5 Đường Nguyễn Huệ, Phường Thủ Dầu Một", 106.650, "25747", "Phường Phú Thọ"),
        address("BD-0007", "7 Đường D1, Phường Phú Lợi", 106.693, "25750", "Phường Chia Đôi"),
        address("BD-0008", "7 Đường D2, Phường Thủ Dầu Một", 106.652, "25747", "Phường Chia Đôi"),
    ],
    WARDS,
)


@pytest.mark.parametrize(
    ("text", "by", "code"),
    [
        ("bd-0001", PlacedBy.CODE, 106.650),
        (" BD -0003 ", PlacedBy.CODE, 106.655),
        ("12 Đường Lê Lợi, Phường Thủ Dầu Một", PlacedBy.ADDRESS, 106.650),
        ("12 le loi, p.thu dau mot", PlacedBy.ADDRESS, 106.650),
        ("12 LÊ LỢI - P. THỦ DẦU MỘT", PlacedBy.ADDRESS, 106.650),
        ("Số 12/3A đường Yersin, phường Thủ Dầu Một", PlacedBy.ADDRESS, 106.655),
        ("12 Lê Lợi, Phú Cường, Thủ Dầu Một", PlacedBy.FUZZY, 106.650),
        ("12 lê lợ, phường thủ dầu một, bình dương", PlacedBy.FUZZY, 106.650),
        ("5 nguyen hue phu loi", PlacedBy.ADDRESS, 106.691),
        ("5 nguyễn huệ, phường Phú Thọ", PlacedBy.FUZZY, 106.650),
        ("12 cach mang thang tam", PlacedBy.FUZZY, 106.690),
        ("12 cách mạngg thángg tám, phú lợi", PlacedBy.FUZZY, 106.690),
    ],
)
def test_an_address_is_found_as_people_write_it(text: str, by: PlacedBy, code: float) -> None:
    found = BOOK.find(text)
    assert found is not None
    assert (found.by, found.lon) == (by, code)
    assert {PlacedBy.CODE: 1.0, PlacedBy.ADDRESS: 0.95}.get(by, found.confidence) == found.confidence
    assert by is not PlacedBy.FUZZY or 0.6 <= found.confidence <= 0.9


def test_another_house_of_the_street_is_less_sure_than_the_house() -> None:
    there, beside = BOOK.find("12 Lê Lợi, Phú Cường"), BOOK.find("88 Lê Lợi, Phú Cường, Thủ Dầu Một")
    assert there is not None
    assert beside is None or beside.confidence < there.confidence


@pytest.mark.parametrize("text", ["5 Nguyễn Huệ", "5 đường nguyen hue, bình dương"])
def test_an_address_that_could_be_in_two_wards_is_in_none(text: str) -> None:
    assert BOOK.find(text) is None


@pytest.mark.parametrize(
    ("text", "ward"),
    [
        ("đối diện cây xăng, phường Phú Lợi", "25750"),
        ("hẻm sau chợ P.Thủ Dầu Một TP Thủ Dầu Một", "25747"),
        ("gần trường học, Phường Phú Hoà", "25750"),
        ("gần trường học, phường Bình Dương", "25760"),
    ],
)
def test_where_only_the_ward_is_said_by_its_new_or_old_name_it_is_the_ward_without_a_point(
    text: str, ward: str
) -> None:
    found = BOOK.find(text)
    assert found is not None
    assert (found.by, found.ward, found.lon, found.confidence) == (PlacedBy.WARD, ward, None, 0.3)


@pytest.mark.parametrize(
    "text", ["", "   ", ",,,", "gần cầu, Bình Dương", "phường Chia Đôi", "phường Lạ", "12"]
)
def test_what_names_nothing_or_several_is_not_placed(text: str) -> None:
    assert BOOK.find(text) is None


@given(st.text(max_size=400))
def test_no_text_whatever_is_an_error(text: str) -> None:
    found = BOOK.find(text)
    assert found is None or 0 < found.confidence <= 1


def test_both_spellings_of_a_tone_and_both_forms_of_a_letter_are_one() -> None:
    assert fold("Phường Hoà Lợi") == fold("Phường Hòa Lợi") == fold("phuo\u031b\u0300ng hoa lo\u031b\u0323i")


def test_a_ward_is_known_by_what_it_took_over_unless_that_was_divided() -> None:
    former = [("25747", "Phường Phú Cường"), ("25747", "Phường Hiệp Thành"), ("25750", "Phường Hiệp Thành")]
    book = Gazetteer((), WARDS, former)
    found = book.find("chợ, phuong phu cuong")
    assert found is not None
    assert (found.ward, found.matched, found.by) == ("25747", "Phường Phú Cường", PlacedBy.WARD)
    assert book.find("chợ, phường Hiệp Thành") is None


def test_an_empty_gazetteer_still_knows_wards() -> None:
    found = Gazetteer((), WARDS).find("chợ, phường phú lợi")
    assert found is not None
    assert found.ward == "25750"
