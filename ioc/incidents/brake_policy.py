"""When leaders are warned: the policy `brakes`."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from ioc.incidents.figures import FIGURES, Unit
from ioc.incidents.policy_shapes import Code, PolicyError, Shape, Slug, Span, check_elapsed, length_of
from ioc.model.incidents import Severity
from ioc.model.texts import Text
from ioc.model.times import HOUR_US

MAX_BRAKES: Final = 50
MAX_FORECAST_US: Final = 24 * HOUR_US


class Brake(Shape, frozen=True, kw_only=True):
    """Warn when `figure` goes beyond `above` or `below`, and again when it is back at `clear`.

    `scope` is the whole city or each ward by itself; `wards` limits the latter. `forecast` warns as long
    beforehand. With fewer than `min_n` cases, or less than `min_coverage`, nothing is concluded and the brake
    says that it is blind.
    """

    name: Slug
    title: Text
    figure: Code
    scope: Literal["city", "ward"] = "city"
    wards: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=400)] | None = None
    category: Code | None = None
    period: Literal["today", "7d", "30d", "quarter"] = "today"
    above: float | None = None
    below: float | None = None
    clear: float
    severity: Severity = Severity.MEDIUM
    forecast: Span | None = None
    min_n: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.0
    to: Literal["operator", "supervisor", "leader", "engineer", "admin"] = "leader"

    @property
    def threshold(self) -> float:
        """What the figure must not go beyond."""
        found = self.above if self.above is not None else self.below
        assert found is not None, "a brake has been checked"
        return found


def _brake(name: str, vi: str, en: str, figure: str, **rest: Any) -> Brake:
    return Brake(name=name, title=Text(vi, en), figure=figure, **rest)


class BrakePolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """When leaders are warned. Those of the category `citizen` watch the legal clocks of 1022."""

    brakes: Annotated[tuple[Brake, ...], Meta(max_length=MAX_BRAKES)] = (
        _brake("overdue-ward", "Phường có nhiều sự cố quá hạn", "Many overdue incidents in a ward", "overdue",
               scope="ward", above=10, clear=5, severity=Severity.HIGH, forecast="2h"),
        _brake("overdue-city", "Tỷ lệ quá hạn toàn địa bàn cao", "High share of overdue incidents",
               "overdue_share", above=0.2, clear=0.15, severity=Severity.HIGH, forecast="2h", min_n=20),
        _brake("triage-1022", "1022: tiếp nhận chậm quá 5 phút", "1022: triage later than 5 minutes",
               "seen_within_time", category="citizen", below=0.9, clear=0.95, min_n=10,
               severity=Severity.HIGH),
        _brake("result-1022", "1022: trả kết quả trễ hạn luật định", "1022: results later than legal",
               "within_time", category="citizen", period="30d", below=0.95, clear=0.97, min_n=20,
               severity=Severity.HIGH),
        _brake("backlog-1022", "1022: phản ánh quá hạn ở phường", "1022: overdue reports in a ward",
               "overdue", scope="ward", category="citizen", above=3, clear=1, severity=Severity.HIGH,
               forecast="24h"),
        _brake("processing-city", "Tỷ lệ xử lý trong ngày thấp", "Low processing rate today",
               "processing_rate", below=0.8, clear=0.85, forecast="2h", min_n=20),
        _brake("alarm-flood", "Quá nhiều báo động mỗi giờ trực", "Too many alarms per operator-hour",
               "alarms_per_operator_hour", above=12, clear=6, min_n=6, to="supervisor"),
        _brake("cameras-silent", "Nhiều camera của phường không gửi dữ liệu", "Many silent cameras in a ward",
               "camera_coverage", scope="ward", below=0.7, clear=0.85, min_n=3, to="engineer"),
        _brake("false-alarms", "Nhiều báo động sai", "Many false alarms", "rejected_share", period="7d",
               above=0.3, clear=0.2, severity=Severity.LOW, min_n=50, to="supervisor"),
        _brake("reopened", "Nhiều sự cố phải mở lại", "Many incidents reopened", "reopened_share",
               period="30d", above=0.1, clear=0.07, min_n=50),
    )  # fmt: skip


def check_brakes(policy: BrakePolicy) -> None:
    """Raise `PolicyError` for a policy of the right shape that cannot be."""
    names: set[str] = set()
    for n, brake in enumerate(policy.brakes):
        if brake.name in names:
            raise PolicyError(f"brakes[{n}].name", "unique", f"{brake.name} is there twice")
        names.add(brake.name)
        _check_brake(f"brakes[{n}]", brake)


def _check_brake(field: str, brake: Brake) -> None:
    figure = FIGURES.get(brake.figure)
    if figure is None:
        raise PolicyError(f"{field}.figure", "figure", f"expected one of {', '.join(FIGURES)}")
    if (brake.above is None) == (brake.below is None):
        raise PolicyError(f"{field}.above", "one_threshold", "expected either `above` or `below`")
    for name in ("above", "below", "clear"):
        value = getattr(brake, name)
        if value is not None and not (0 <= value <= (1 if figure.unit is Unit.SHARE else 1e9)):
            raise PolicyError(f"{field}.{name}", "range", "expected 0 to 1 for a share, else 0 or more")
    if brake.clear > brake.threshold if brake.above is not None else brake.clear < brake.threshold:
        raise PolicyError(f"{field}.clear", "hysteresis", "expected the threshold or a better value")
    if brake.scope == "city" and brake.wards is not None:
        raise PolicyError(f"{field}.wards", "scope", "wards belong to the scope `ward`")
    if figure.city_only and (brake.scope == "ward" or brake.category is not None):
        raise PolicyError(f"{field}.scope", "city_only", f"{figure.id} is known for the whole city only")
    if brake.forecast is not None:
        check_elapsed(f"{field}.forecast", brake.forecast)
        if not 0 < length_of(brake.forecast).us <= MAX_FORECAST_US:
            raise PolicyError(f"{field}.forecast", "range", "expected more than no time and at most 24h")
