"""The process apart: its limits hold, and nothing that happens in it happens to us."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ioc.photos import child, workshop
from ioc.photos.check import PhotoRefused
from ioc.photos.workshop import Workshop, WorkshopBusy, WorkshopSettings
from tests.unit.photos import samples

GREEDY = "import ioc.photos.child as c; c.limit(); bytearray(1 << 30)"
BUSY = "import ioc.photos.child as c; c.CPU_S = 1; c.limit()\nwhile True: pass"
WRITER = "import ioc.photos.child as c; c.limit(); open({path!r}, 'w').write('x' * 9)"
SILENT = "import time; time.sleep(600)"


def put_in_place(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(workshop, "_COMMAND", (sys.executable, "-I", "-c", program))


async def rule_of(data: bytes, settings: WorkshopSettings | None = None) -> str:
    with pytest.raises(PhotoRefused) as caught:
        await Workshop(settings).make(data)
    return caught.value.rule


async def test_a_picture_goes_through_the_process() -> None:
    made = await Workshop().make(samples.phone_photo())
    assert (made.width, made.height) == (40, 80)
    assert made.picture.startswith(b"\xff\xd8\xff") and made.thumb.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (samples.bomb(), "max_pixels"),
        (samples.text_bomb(), "broken"),
        (samples.zip_behind(), "polyglot"),
        (samples.jpeg(640, 480)[:2_000], "broken"),
        (b"", "empty"),
    ],
    ids=["bomb", "text bomb", "polyglot", "truncated", "empty"],
)
async def test_each_refusal_comes_back_by_its_rule(data: bytes, rule: str) -> None:
    assert await rule_of(data) == rule


async def test_the_largest_picture_that_may_come_in_fits_the_limits() -> None:
    made = await Workshop().make(samples.png(5_000, 5_000, "RGBA"))
    assert (made.width, made.height) == (2_048, 2_048)


async def test_a_decoder_that_takes_too_much_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in (GREEDY, BUSY):
        put_in_place(monkeypatch, program)
        assert await rule_of(samples.jpeg()) == "too_costly", program
    written = tmp_path / "written"
    put_in_place(monkeypatch, WRITER.format(path=str(written)))
    assert await rule_of(samples.jpeg()) == "too_costly"
    assert not written.exists() or written.read_bytes() == b""


async def test_a_process_that_says_nothing_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, SILENT)
    assert await rule_of(samples.jpeg(), WorkshopSettings(timeout_s=0.2)) == "too_costly"
    assert _children() == []


async def test_a_cancelled_caller_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Workshop().make(samples.jpeg())
    assert _children() == []


async def test_nothing_of_our_environment_is_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_DATABASE__APP_DSN", "secret")
    put_in_place(monkeypatch, "import os; raise SystemExit(0) if not os.environ.get('IOC_DATABASE__APP_DSN')"
                 " else print('{\"refused\": \"polyglot\"}')")  # fmt: skip
    assert await rule_of(samples.jpeg()) == "too_costly", "it said nothing, because it found nothing"


async def test_no_more_pictures_are_admitted_than_may_wait() -> None:
    place = Workshop(WorkshopSettings(waiting=2))
    async with place.admission(), place.admission():
        with pytest.raises(WorkshopBusy):
            async with place.admission():
                pass
    async with place.admission():
        pass


def test_the_process_limits_memory_seconds_files_and_processes() -> None:
    assert child.MEMORY_BYTES < 1 << 30
    assert WorkshopSettings().timeout_s > child.CPU_S


def _children() -> list[int]:
    """Return the processes of ours that still run."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    ours = [int(pid) for pid in found.read_text().split()]
    return [pid for pid in ours if b"time.sleep(600)" in Path(f"/proc/{pid}/cmdline").read_bytes()]
