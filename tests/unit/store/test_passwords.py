"""Passwords that guessers try first are refused, whatever is put around them; words of one's own are not."""

import pytest

from ioc.app.demo import readable_password
from ioc.store.passwords import UnfitPasswordError, check_password

NAMES = ("cuong", "Nguyễn Văn Cường")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "Password1234!",
        "P@ssw0rd!2026",
        "Matkhau@2026!",
        "mật khẩu 12345",
        "123456789012",
        "0912 345 6789",
        "qwertyuiop123",
        "abcdefghijklm",
        "aaaaaaaaaaaaaaa",
        "cuong-2026-cuong",
        "NguyễnVănCường1",
        "Binhduong@2025",
        "admin.admin.admin",
        "x" * 257,
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(UnfitPasswordError):
        check_password(password, *NAMES)


@pytest.mark.parametrize(
    "password", ["mèo ngủ trên mái", "correct horse battery", "xkcd-4fgh-9jkm", "con cò bay lả bay la"]
)
def test_words_of_ones_own_are_enough(password: str) -> None:
    assert check_password(password, *NAMES) == password


def test_the_passwords_that_we_make_up_are_good_enough() -> None:
    made = {readable_password() for _ in range(300)}
    assert len(made) == 300
    for password in made:
        check_password(password)
