"""One person's contact is recognised however it is written: quotas and erasure depend on it."""

import pytest

from ioc.app.citizens.citizen_desk import one_spelling


@pytest.mark.parametrize(
    ("contact", "known_as"),
    [
        ("0912 345 678", "0912345678"),
        ("+84 912.345.678", "0912345678"),
        ("0912 345 678, an1990@example.vn, Nguyễn Thị Hoa", "0912345678"),
        ("An@Example.vn, Nguyễn Thị Hoa", "an@example.vn"),
        ("Zalo: Hoa", "zalo: hoa"),
    ],
)
def test_a_phone_number_counts_before_a_mail_address_and_that_before_words(
    contact: str, known_as: str
) -> None:
    assert one_spelling(contact) == known_as
