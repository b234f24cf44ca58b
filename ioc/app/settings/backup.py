"""Settings of backups."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ioc.app.backup.age import checked_recipient
from ioc.app.settings.base import Section


class BackupSettings(Section):
    """Backups of the embedded database (`ioc backup`)."""

    recipients: Annotated[
        tuple[Annotated[str, AfterValidator(checked_recipient)], ...], Field(max_length=20)
    ] = Field(
        (),
        description="age recipients (`age1…`, from `ioc backup-key` or `age-keygen`) for whom backups are "
        "encrypted, each can open them; empty: backups are written in clear",
    )
