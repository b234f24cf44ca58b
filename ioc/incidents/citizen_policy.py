"""What citizens may report and how their reports are treated: the policy `citizens`."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from ioc.incidents.policy_shapes import Code, PolicyError, Shape, Span, check_elapsed
from ioc.model.texts import Text

MAX_SERVICES: Final = 200
CODE: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$"
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Choice(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """One answer that an attribute allows."""

    key: Annotated[str, Meta(pattern=CODE)]
    name: Text


class Attribute(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Something further that programs of Open311 ask for; its answer becomes a line of the report's text."""

    code: Annotated[str, Meta(pattern=CODE)]
    name: Text
    datatype: Literal["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"] = "string"
    required: bool = False
    values: Annotated[tuple[Choice, ...], Meta(max_length=100)] = ()


class Service(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Something a citizen can report; `code` ends the category of its incidents, `citizen.CODE`."""

    code: Annotated[str, Meta(pattern=CODE)]
    name: Text
    description: Text
    group: Code
    keywords: Annotated[tuple[Code, ...], Meta(max_length=20)] = ()
    attributes: Annotated[tuple[Attribute, ...], Meta(max_length=20)] = ()


class DuplicatePolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """When two reports of one service tell of the same thing.

    Within `metres` and `within` an earlier report is offered from the likeness `offer_from` on; within
    `merge_metres`, or at one address, it is taken for the same from `merge_from` on.
    """

    metres: Annotated[int, Meta(ge=1, le=2_000)] = 200
    merge_metres: Annotated[int, Meta(ge=1, le=500)] = 40
    within: Span = "7d"
    offer_from: Share = 0.3
    merge_from: Share = 0.6
    offered: Annotated[int, Meta(ge=1, le=20)] = 5


def _service(code: str, group: str, name: Text, description: Text, *attributes: Attribute) -> Service:
    return Service(code=code, group=group, name=name, description=description, attributes=attributes)


_DEPTH: Final = Attribute(
    code="depth",
    name=Text("Mức ngập", "Depth of water"),
    datatype="singlevaluelist",
    values=(
        Choice(key="ankle", name=Text("Dưới mắt cá chân", "Below the ankle")),
        Choice(key="knee", name=Text("Đến đầu gối", "Up to the knee")),
        Choice(key="deeper", name=Text("Trên đầu gối", "Above the knee")),
    ),
)
_POLE: Final = Attribute(code="pole", name=Text("Số trụ đèn", "Number on the pole"))


SHIPPED_SERVICES: Final = (
    _service(
        "road", "hạ tầng", Text("Đường hư hỏng, ổ gà", "Road damage, pothole"),
        Text("Mặt đường, vỉa hè, nắp cống hư hỏng hoặc sụt lún", "Damaged surface, pavement or manhole"),
    ),
    _service(
        "flood", "hạ tầng", Text("Ngập nước, cống nghẹt", "Flooding, blocked drain"),
        Text("Đường ngập sau mưa hoặc triều, cống thoát nước bị nghẹt", "Flooded road, blocked drain"),
        _DEPTH,
    ),
    _service(
        "light", "hạ tầng", Text("Đèn đường, đèn tín hiệu hỏng", "Street or traffic light out"),
        Text("Đèn không sáng, nhấp nháy hoặc hỏng", "A light that is out, flickers or is broken"),
        _POLE,
    ),
    _service(
        "waste", "môi trường", Text("Rác thải, vệ sinh", "Waste, cleaning"),
        Text("Rác không được thu gom, đổ trộm rác, xà bần", "Waste not collected, or dumped"),
    ),
    _service(
        "pollution", "môi trường", Text("Ô nhiễm, tiếng ồn", "Pollution, noise"),
        Text("Khói, bụi, mùi hôi, nước thải, karaoke ồn", "Smoke, dust, smell, waste water, noise"),
    ),
    _service(
        "tree", "môi trường", Text("Cây xanh nguy hiểm", "Dangerous tree"),
        Text("Cây ngã, cành gãy, cây che khuất biển báo", "Fallen tree, broken branch, hidden sign"),
    ),
    _service(
        "traffic", "giao thông", Text("Trật tự giao thông", "Traffic order"),
        Text("Ùn tắc, đậu xe sai quy định, biển báo hỏng", "Congestion, wrong parking, broken sign"),
    ),
    _service(
        "order", "trật tự", Text("Trật tự đô thị, lấn chiếm", "Public order, encroachment"),
        Text("Lấn chiếm lòng lề đường, xây dựng trái phép", "Encroached pavement, illegal building"),
    ),
    _service(
        "safety", "trật tự", Text("An ninh, an toàn", "Safety"),
        Text("Dây điện sà thấp, công trình nguy hiểm, mất an ninh", "Low cables, dangerous site, insecurity"),
    ),
    _service(
        "other", "khác", Text("Vấn đề khác", "Something else"),
        Text("Những việc không thuộc các mục trên", "Whatever is none of the above"),
    ),
)  # fmt: skip
"""Services of Hồ Chí Minh City's 1022, in fewer words."""


class CitizenPolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """What may be reported, what counts as the same, and when what was done is opened again."""

    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=MAX_SERVICES)] = SHIPPED_SERVICES
    duplicates: DuplicatePolicy = DuplicatePolicy()
    reopen_within: Span = "15d"
    """After a resolution; later, a new report is a new incident."""
    reopen_votes: Annotated[int, Meta(ge=1, le=100)] = 1
    """So many reporters who are not satisfied open it again."""
    answer_done: Text = Text(
        "Phản ánh của ông/bà đã được xử lý. Xin cho biết ông/bà có hài lòng với kết quả không.",
        "What you reported has been dealt with. Please tell us whether you are satisfied.",
    )
    answer_rejected: Text = Text(
        "Cơ quan chức năng đã kiểm tra và không ghi nhận vấn đề được phản ánh. Ông/bà có thể gửi phản ánh mới"
        " nếu vấn đề vẫn còn.",
        "The matter was checked and could not be found. Please report again if it persists.",
    )

    def service(self, code: str) -> Service | None:
        """Return the service of `code`."""
        return next((service for service in self.services if service.code == code), None)


def check_citizens(policy: CitizenPolicy) -> None:
    """Raise `PolicyError` for a policy of the right shape that cannot be."""
    codes = [service.code for service in policy.services]
    for n, code in enumerate(codes):
        if code in codes[:n]:
            raise PolicyError(f"services[{n}].code", "unique", f"{code} is there already")
    for n, service in enumerate(policy.services):
        _check_attributes(f"services[{n}]", service.attributes)
    spans = {"reopen_within": policy.reopen_within, "duplicates.within": policy.duplicates.within}
    for field, text in spans.items():
        check_elapsed(field, text)
    if policy.duplicates.offer_from > policy.duplicates.merge_from:
        raise PolicyError("duplicates.merge_from", "order", "expected at least `offer_from`")


def _check_attributes(where: str, attributes: tuple[Attribute, ...]) -> None:
    codes = [attribute.code for attribute in attributes]
    for n, attribute in enumerate(attributes):
        place = f"{where}.attributes[{n}]"
        if attribute.code in codes[:n]:
            raise PolicyError(f"{place}.code", "unique", f"{attribute.code} is there already")
        keys = [choice.key for choice in attribute.values]
        if bool(keys) != attribute.datatype.endswith("list"):
            raise PolicyError(f"{place}.values", "values", "lists have values, and nothing else has")
        if len(set(keys)) < len(keys):
            raise PolicyError(f"{place}.values", "unique", "a key is there twice")
