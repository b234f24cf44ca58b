"""What is told of an early warning."""

import msgspec

from ioc.model.incidents import Severity
from ioc.model.texts import Text

WARNING_OP = "warning"
"""By which receivers of notices ask for warnings."""


class WarningNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A warning opened, went from forecast to crossed, or ended. `ward` None is the whole city."""

    warning: str
    rev: int
    at_us: int
    brake: str
    title: Text
    figure: str
    ward: str | None
    category: str | None
    severity: Severity
    stage: str
    value: float
    threshold: float
    n: int
    coverage: float | None
    forecast_us: int | None

    @property
    def id(self) -> str:
        """The same for every repeat of the same telling."""
        return f"{self.warning}.{self.rev}"

    @property
    def op(self) -> str:
        """What happened, as receivers name it."""
        return WARNING_OP
