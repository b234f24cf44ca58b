"""Encrypted files: the age format as its own program writes it, in bounded memory, refused when changed."""

import io
import re
import resource
import stat
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from ioc.app.backup.age import AgeError, Identities, checked_recipient, decrypt, encrypt, new_identity
from ioc.app.backup.files import SpoiltError, check, fetch, store
from ioc.app.settings import SettingsError, load_settings

NOW = datetime(2026, 11, 29, tzinfo=UTC)
CONTENTS = b"contact of a citizen " * 20_000

# Made by age-keygen and age, version 1.2.1; the key opens nothing but this text.
KEY_FILE = """# created: 2026-11-29T15:46:20Z
# public key: age1kqsuzrlwpeayy3faxqkzx7cvd0hkng0wshwsn9ygyde53ank5v8s8cpcag
AGE-SECRET-KEY-1G3280XQL67ZXTRQGGRPSEL9T7PTYW4C59US0M28AP6LD5LPT2SASPQ9FXG
"""
FILE = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBhMWM2aWdqL1kreHR3Zzc1TEFTa0Z4RURKalRjNWl0MnRROThzUm83UEhB"
    "CldnZ0JSY0xmM0luZVpIODdGYlR1L1dwaHV5WldrQzF5WCt0U2ZqTHBqSjQKLS0tIHVZc0FJd0xvOHJ6c0lwWWRVZ0l4am81c2Q4"
    "Q0lZUEVZMldjUUQzVGZTNEEKdrPEMede+kC1yW0PtF9aB/3jibh4gsC7/y7cyrFfsCavft+a+QkmHc9gBFc8wxC5kw=="
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_identity(tmp_path / "key", NOW)
    return tmp_path / "key"


def stored(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "file.age"
    store(io.BytesIO(CONTENTS), path, Identities(key).recipients)
    return path


def test_what_the_age_program_wrote_is_opened_with_the_key_it_made(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY_FILE)
    opened = io.BytesIO()
    decrypt(io.BytesIO(b64decode(FILE)), opened, Identities(tmp_path / "key"))
    assert opened.getvalue().decode() == "sáu mươi bảy"


def test_each_of_several_recipients_opens_a_file_and_nobody_else(tmp_path: Path) -> None:
    recipients = [new_identity(tmp_path / name, NOW) for name in ("one", "two", "other")]
    sealed = io.BytesIO()
    encrypt(io.BytesIO(CONTENTS), sealed, recipients[:2])
    for name in ("one", "two"):
        opened = io.BytesIO()
        decrypt(io.BytesIO(sealed.getvalue()), opened, Identities(tmp_path / name))
        assert opened.getvalue() == CONTENTS
    with pytest.raises(AgeError, match="No matching keys"):
        decrypt(io.BytesIO(sealed.getvalue()), io.BytesIO(), Identities(tmp_path / "other"))


def test_a_private_key_is_for_its_owner_only_and_never_written_over(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert re.fullmatch(r"# created: .*\n# public key: age1\w{58}\nAGE-SECRET-KEY-1\w{58}\n", key.read_text())
    with pytest.raises(FileExistsError):
        new_identity(key, NOW)


def test_what_is_no_key_is_named_without_being_repeated(tmp_path: Path, key: Path) -> None:
    private = key.read_text().splitlines()[-1]
    with pytest.raises(AgeError, match="AGE-SECR… is no recipient") as caught:
        checked_recipient(private)
    assert private not in str(caught.value)
    for text, says in (
        ("# nothing\n", "holds no identity"),
        ("age1xyz\n", "expected lines of AGE-SECRET-KEY"),
    ):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(AgeError, match=says):
            Identities(tmp_path / "bad")


def test_a_wrong_recipient_stops_the_start_and_a_private_key_is_not_shown(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Identities(key).recipients
    assert load_settings(backup={"recipients": right}).backup.recipients == tuple(right)
    private = key.read_text().splitlines()[-1]
    wrong = right[0][:-1] + ("q" if right[0][-1] != "q" else "p")
    for text, says in (
        (f'["{wrong}"]', rf"backup\.recipients\.0 = '{wrong}': age1\w+… is no recipient"),
        (f'["{private}"]', r"backup\.recipients\.0 = …: AGE-SECR… is no recipient"),
        (private, r"backup\.recipients = …: expected JSON"),
    ):
        monkeypatch.setenv("IOC_BACKUP__RECIPIENTS", text)
        with pytest.raises(SettingsError, match=says) as caught:
            load_settings()
        assert private not in str(caught.value)


def test_nothing_is_in_clear_on_the_disk_while_a_file_is_written(tmp_path: Path, key: Path) -> None:
    recipients, seen = Identities(key).recipients, []

    class Watching(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.extend(path.read_bytes() for path in tmp_path.glob("file*"))
            return super().read(size)

    store(Watching(CONTENTS), tmp_path / "file.age", recipients)
    seen.append((tmp_path / "file.age").read_bytes())
    assert max(map(len, seen)) > len(CONTENTS)
    assert not any(CONTENTS[:21] in found for found in seen)


@pytest.mark.parametrize("at", [20, 120, 5_000, -1])
def test_a_changed_byte_is_refused(tmp_path: Path, key: Path, at: int) -> None:
    path = stored(tmp_path, key)
    spoilt = bytearray(path.read_bytes())
    spoilt[at] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(SpoiltError, match=r"file\.age is not what was written"):
        check(path, None, Identities(key))


@pytest.mark.parametrize("kept", [0, 10, 300, 65_552 + 200, -1])
def test_a_torn_file_is_refused(tmp_path: Path, key: Path, kept: int) -> None:
    path = stored(tmp_path, key)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SpoiltError, match=r"file\.age is not what was written"):
        check(path, None, Identities(key))


def test_a_file_in_clear_is_known_by_its_sum(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sha256 = store(io.BytesIO(CONTENTS), path, [])
    check(path, sha256, None)
    fetched = io.BytesIO()
    fetch(path, fetched, None)
    assert fetched.getvalue() == CONTENTS
    path.write_bytes(CONTENTS[:-1])
    with pytest.raises(SpoiltError, match="SHA-256"):
        check(path, sha256, None)


def test_an_error_of_the_disk_stays_what_it_is(key: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        encrypt(io.BytesIO(CONTENTS), Full(), Identities(key).recipients)
    assert caught.value.errno == 28


def test_a_file_of_any_size_takes_little_memory_both_ways(tmp_path: Path, key: Path) -> None:
    size = 128 << 20
    path, identities = tmp_path / "large.age", Identities(key)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Path("/dev/zero").open("rb") as zeros:
        store(_Part(zeros, size), path, identities.recipients)
    check(path, None, identities)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    path.unlink()
    assert grown_kb < size / 1024 / 8


class _Part:
    """The first bytes of a file."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data
