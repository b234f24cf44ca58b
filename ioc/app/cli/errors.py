"""Errors that a user can cause and mend: one message, what to do next, exit code 1; never a traceback."""

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import psycopg

from ioc.api.ports import NotFoundError
from ioc.app.audit_keeper import AnchorFileError
from ioc.app.backup.age import AgeError
from ioc.app.backup.embedded import BackupError
from ioc.app.backup.files import SpoiltError
from ioc.app.cli.output import notes
from ioc.app.devices.description import DeviceFileError, InvalidDevice
from ioc.app.devices.logins import InvalidLogin
from ioc.app.erasure import ErasureError
from ioc.app.open_export import ExportError
from ioc.app.privacy import PrivacyKeyError
from ioc.app.recordings import ParquetUnavailable, RecordingError
from ioc.app.rules.backtest import NoHistoryError
from ioc.app.rules.push import PushRefused, UnknownRuleError
from ioc.app.rules.settled import NotSettledError
from ioc.app.run import SimulatorsRefusedError
from ioc.app.settings import SettingsError
from ioc.app.table_import import TableError
from ioc.app.tracing import TracingUnavailableError
from ioc.app.web import PortInUseError
from ioc.eventlog.port import LogError
from ioc.geo.geojson import InvalidAreas
from ioc.rules.errors import InvalidRules
from ioc.store.areas import AreaError
from ioc.store.devices import UnknownDeviceError
from ioc.store.embedded import DataFolderError
from ioc.store.history_plan import RetentionError
from ioc.store.hypertables import UnsupportedTimescaleError
from ioc.store.pool import PrivilegedRoleError, StoreUnavailable
from ioc.store.privacy import UnknownRequestError
from ioc.store.users import AccessError


class CommandError(Exception):
    """A command cannot do what it was asked. `next_step` says what to do, `{ioc}` standing for our name."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


_DOCTOR: Final = "Run `{ioc} doctor` to check the set-up."
_NEXT: Final[tuple[tuple[type[Exception], str], ...]] = (
    (SettingsError, "Mend the setting; docs/settings.md lists them all. " + _DOCTOR),
    (DataFolderError, _DOCTOR),
    (
        DeviceFileError,
        "Nothing was imported: mend the file, then import it again; --keep-valid takes what is right.",
    ),
    (InvalidDevice, "Nothing was registered: mend the option, see `{ioc} devices add --help`."),
    (InvalidLogin, "No login was stored: give it again with `{ioc} devices login`."),
    (InvalidAreas, "Nothing was imported: mend the file, then import it again."),
    (AreaError, "Nothing was imported: mend the file, then import it again."),
    (TableError, "Mend the mapping or the file; docs/devices/tabular.md has the keys."),
    (InvalidRules, "Mend the rule files, then run `{ioc} rules check`."),
    (UnknownDeviceError, "`{ioc} devices list` shows the registered ones, `{ioc} devices add` adds one."),
    (ErasureError, "Give it as it is written, e.g. --phone 0912345678 or --plate 61A-123.45."),
    (UnknownRequestError, "`{ioc} erasure list` shows the open ones."),
    (TracingUnavailableError, "Install it (docs/operations.md, Traces), or leave tracing.endpoint empty."),
    (ExportError, "`{ioc} export open --columns` shows what each dataset has."),
    (ParquetUnavailable, "Install it: docs/recordings.md, Parquet. Or choose another format."),
    (RecordingError, "`{ioc} recording inspect` says what a file holds and how far it is whole."),
    (
        PrivacyKeyError,
        "Restore the file, or name another with privacy.plate_key, citizens.contact_key or attach.login_key.",
    ),
    (
        BackupError,
        "Nothing is left of the attempt in the data folder; docs/operations.md says how it is done.",
    ),
    (
        SpoiltError,
        "Take another backup. Nothing is left of the attempt in the data folder.",
    ),
    (AgeError, "`{ioc} backup-key FILE` makes a pair; its file goes to --identity, its recipient elsewhere."),
    (AnchorFileError, "Give another file with --anchors, or look who wrote into this one."),
    (AccessError, "`{ioc} users list` shows who has an account, `{ioc} users --help` what can be done."),
    (PortInUseError, _DOCTOR),
    (StoreUnavailable, _DOCTOR),
    (PrivilegedRoleError, "Set database.app_dsn to a connection of that role. " + _DOCTOR),
    (RetentionError, "Mend the setting; docs/settings.md lists them all."),
    (UnsupportedTimescaleError, _DOCTOR),
    (psycopg.OperationalError, _DOCTOR),
    (LogError, _DOCTOR),
    (UnknownRuleError, "`{ioc} rules list` shows the rules in force, `{ioc} rules history` the versions."),
    (PushRefused, "Nothing was pushed; `{ioc} rules list` shows what is in force."),
    (NotSettledError, "Is a service running on this data? `{ioc} doctor` looks."),
    (NoHistoryError, "Choose a time with `--from` and `--to` for which events are stored."),
    (SimulatorsRefusedError, "Mend the file given with --scenario, or leave the option away."),
    (NotFoundError, "`{ioc} rules list` shows the rules in force."),
    (OSError, "Check the path and who may use it."),
)
EXPECTED: Final[tuple[type[Exception], ...]] = (CommandError, *(kind for kind, _ in _NEXT))
"""What a user can cause and mend."""

_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


def expected_in(error: BaseException) -> list[Exception] | None:
    """Return the errors to show for `error`, a group's one by one; None where one of them is a defect."""
    if isinstance(error, BaseExceptionGroup):
        found: list[Exception] = []
        for inner in error.exceptions:
            leaves = expected_in(inner)
            if leaves is None:
                return None
            found += leaves
        return found
    return [error] if isinstance(error, EXPECTED) else None


def show(error: Exception) -> None:
    """Print an expected error and what to do next."""
    notes.print("error: ", style="red", end="")
    notes.print(message_of(error))
    notes.print(next_step(error))


def message_of(error: Exception) -> str:
    """Return what happened, with the service it happened in where that is known."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # The supervisor notes the service; for a file or a setting it would only distract.
    service = [note for note in getattr(error, "__notes__", ()) if note.startswith("service ")]
    return f"{service[0]}: {text}" if service and isinstance(error, OSError) else text


def next_step(error: Exception) -> str:
    """Return what to do about an expected error."""
    if isinstance(error, CommandError):
        step = error.next_step
    elif isinstance(error, OSError) and error.errno in _ADDRESS_ERRORS:
        step = "Choose another address with --host, --port or --mqtt-port. " + _DOCTOR
    elif isinstance(error, FileExistsError):
        step = "Choose another name: what is there is not replaced."
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "Make room, or choose another data folder with --data. " + _DOCTOR
    else:
        step = next(text for kind, text in _NEXT if isinstance(error, kind))
    return with_command(step)


def with_command(text: str) -> str:
    """Put how this user can call us in the place of `{ioc}`."""
    return text.replace("{ioc}", command())


def command() -> str:
    """Return `ioc`, or the path to it where the user's shell would not find it."""
    ours = Path(sys.executable).parent / "ioc"
    # `make` puts our folder on its own PATH; the shell that called it does not have it.
    own_path = "MAKELEVEL" in os.environ and os.environ.get("VIRTUAL_ENV") != str(ours.parents[1])
    found = shutil.which("ioc")
    if not ours.exists() or (found and not (own_path and Path(found) == ours)):
        return "ioc"
    return str(ours.relative_to(Path.cwd())) if ours.is_relative_to(Path.cwd()) else str(ours)
