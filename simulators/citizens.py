"""What citizens tell the public counter, and what they think of the result; reads no clock, opens no socket.

All of it follows from the seed and the report's number. Everything is invented.
"""

from typing import Final

import msgspec

from simulators.city.plane import stream
from simulators.fleet import Fleet

FIRST_S: Final = (3.0, 8.0, 15.0, 25.0, 40.0, 60.0, 85.0)
"""When the first reports come after the start, so that a board that has just opened is not empty."""
_GAP_S: Final = (150.0, 270.0)
"""Between two later ones. A place may send 30 an hour, and people who try the page need some of them."""
_PHOTO_SHARE, _CONTACT_SHARE, _JOIN_SHARE, _CONTENT_SHARE = 0.5, 0.5, 0.25, 0.85

_TEXTS: Final = {
    "road": (
        "Ổ gà sâu giữa đường, xe máy đi qua rất nguy hiểm, đề nghị vá sớm.",
        "Nắp cống bị sụt gần một gang tay, tối đi không thấy.",
    ),
    "light": (
        "Cả đoạn đường tối, đèn không sáng từ tối qua.",
        "Đèn đường nhấp nháy liên tục, có lúc tắt hẳn.",
    ),
    "waste": (
        "Rác để ba ngày chưa thu gom, bốc mùi hôi.",
        "Có người đổ trộm xà bần ra lề đường trong đêm.",
    ),
    "flood": (
        "Cống nghẹt, mưa một lúc là nước tràn lên mặt đường.",
        "Nước đọng hai ngày chưa rút trước khu nhà trọ.",
    ),
    "tree": (
        "Cây nghiêng sau mưa, có thể đổ vào dây điện.",
        "Cành khô lớn treo lơ lửng trên vỉa hè trước trường học.",
    ),
    "traffic": (
        "Xe tải đậu chắn lối đi trước cổng trường vào giờ tan học.",
        "Biển báo một chiều bị che khuất, nhiều xe đi ngược chiều.",
    ),
    "order": (
        "Hàng quán bày hết vỉa hè, người đi bộ phải xuống lòng đường.",
        "Bàn ghế quán nhậu lấn ra gần nửa lòng đường mỗi tối.",
    ),
    "pollution": (
        "Quán karaoke mở nhạc lớn sau 22 giờ, cả khu không ngủ được.",
        "Đốt rác nhựa mỗi chiều, khói khét bay vào nhà dân.",
    ),
    "safety": (
        "Dây điện sà thấp ngang đầu người đi bộ.",
        "Hố công trình không rào chắn, không đèn cảnh báo.",
    ),
}  # fmt: skip
_UNHAPPY: Final = ("Vẫn còn như cũ, chưa thấy ai đến xử lý.", "Chỉ xử lý một phần, đề nghị kiểm tra lại.")


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One report. Positions in degrees."""

    service: str
    text: str
    lon: float
    lat: float
    contact: str | None
    camera: str | None
    """Whose view stands for the citizen's photo; None: no photo."""
    joins: bool
    """Takes the offer, where something like it is known already."""


def words_of(seed: int, number: int, fleet: Fleet) -> Words:
    """Return what report `number` says, near some camera of the city.

    One in four tells of the thing that the report before it told of.
    """
    rng = stream(seed, "citizen", number)
    joins = number > 0 and rng.random() < _JOIN_SHARE
    thing = stream(seed, "thing", number - 1 if joins else number)
    service = thing.choice(tuple(_TEXTS))
    text, near = thing.choice(_TEXTS[service]), thing.choice(fleet.cameras)
    # Devices stand 150 m inside their ward: a report near one lies in the same ward.
    return Words(
        service=service,
        text=text,
        lon=round(near.lon + thing.uniform(-0.0006, 0.0006) + rng.uniform(-0.0001, 0.0001), 6),
        lat=round(near.lat + thing.uniform(-0.0006, 0.0006) + rng.uniform(-0.0001, 0.0001), 6),
        contact=f"0900 000 {rng.randrange(1000):03d}" if rng.random() < _CONTACT_SHARE else None,
        camera=near.id if rng.random() < _PHOTO_SHARE else None,
        joins=joins,
    )


def wait_s(seed: int, number: int) -> float:
    """Return how long after the report before it report `number` comes, in seconds."""
    if number < len(FIRST_S):
        return FIRST_S[number] - (FIRST_S[number - 1] if number else 0.0)
    return stream(seed, "gap", number).uniform(*_GAP_S)


def verdict_of(seed: int, report_id: str) -> tuple[bool, str | None]:
    """Return whether the author of a report is content with its result, and what they say."""
    rng = stream(seed, "verdict", report_id)
    return (True, None) if rng.random() < _CONTENT_SHARE else (False, rng.choice(_UNHAPPY))
