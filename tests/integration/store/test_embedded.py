"""The embedded server after power cuts, and who starts and stops it."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ioc.store.embedded import (
    DataFolderError,
    PostgresServer,
    clear_unfinished,
    embedded_postgres,
    is_running,
    start_server,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ioc-e-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name) / "pg"


def answers(uri: str) -> bool:
    with psycopg.connect(uri) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
def test_a_pid_file_that_names_a_stranger_neither_stops_the_start_nor_harms_the_stranger(
    folder: Path,
) -> None:
    with embedded_postgres(folder):
        pass
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lines = [str(stranger.pid), str(folder), "1700000000", "5432", str(folder), "", "1 1", "ready"]
        (folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with embedded_postgres(folder) as server:
            assert answers(server.get_uri("postgres"))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.slow
def test_a_pid_file_cut_short_does_not_stop_the_start(folder: Path) -> None:
    with embedded_postgres(folder):
        pass
    (folder / "postmaster.pid").write_text("12")
    with embedded_postgres(folder) as server:
        assert answers(server.get_uri("postgres"))


@pytest.mark.slow
def test_the_last_user_stops_the_server_and_nobody_before(folder: Path) -> None:
    with embedded_postgres(folder) as keeper:
        with embedded_postgres(folder, keep=False) as guest:
            assert answers(guest.get_uri("postgres"))
        assert is_running(keeper)
        with pytest.raises(DataFolderError, match="is `ioc up` running already"), embedded_postgres(folder):
            pass
        assert is_running(keeper)
    assert not is_running(keeper)


@pytest.mark.slow
def test_a_server_that_came_back_by_itself_is_stopped_at_the_end_as_well(folder: Path) -> None:
    with embedded_postgres(folder) as keeper:
        died = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
        died.kill()
        died.wait(30)
        again = PostgresServer(folder, cleanup_mode=None)
        start_server(again, max_recovery_s=60.0)
        assert answers(again.get_uri("postgres"))
    assert not is_running(keeper)


@pytest.mark.slow
def test_a_first_start_that_was_killed_is_begun_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").write_text("18\n")
    folder.with_suffix(".unfinished").touch()
    with embedded_postgres(folder) as server:
        assert answers(server.get_uri("postgres"))
        assert not folder.with_suffix(".unfinished").exists()
        with psycopg.connect(server.get_uri("postgres")) as connection:
            assert connection.execute("SHOW max_connections").fetchone() == ("150",)


def test_a_database_whose_first_start_ended_is_never_removed(folder: Path) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").touch()
    clear_unfinished(folder)
    assert (folder / "PG_VERSION").exists()
    folder.with_suffix(".unfinished").touch()
    clear_unfinished(folder)
    assert not folder.exists()


class Recovering:
    """A server whose process lives and which answers only at the third question, as after a power cut."""

    def __init__(self, folder: Path) -> None:
        self.pgdata, self.asked = folder, 0

    def start(self) -> None:
        self.asked += 1
        assert self.asked >= 3, "status is starting"


def test_a_server_that_recovers_for_long_is_waited_for_and_no_longer_than_allowed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ioc.store.embedded.RECOVERY_POLL_S", 0.0)
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(folder)])
    try:
        (folder / "postmaster.pid").write_text(f"{process.pid}\n")
        patient = Recovering(folder)
        start_server(patient, max_recovery_s=60.0)  # type: ignore[arg-type]
        assert patient.asked == 3
        with pytest.raises(DataFolderError, match="status is starting"):
            start_server(Recovering(folder), max_recovery_s=0.0)  # type: ignore[arg-type]
    finally:
        process.kill()
        process.wait()
