"""What a duty crew calls its teams and writes into incidents. All teams are invented."""

import random
import zlib
from collections.abc import Mapping
from typing import Final

TAKEN_UP: Final = "Tổ trực đã tiếp nhận, đang xác minh."
"""The note of an acknowledgement: a crew started again knows by it what it had taken up."""
AT_WORK: Final = "Đã có mặt, đang xử lý."
NOTED: Final = "Đã ghi nhận qua điện thoại với đơn vị tại chỗ."
"""What stands at a procedure's step that asks for words."""
_TEAMS: Final = 4
_NUMBERED: Final = {
    "flood": "Đội thoát nước số",
    "fire": "Đội PCCC và CNCH số",
    "equipment": "Tổ kỹ thuật thiết bị số",
}
_OTHER_TEAM: Final = "Tổ phản ứng nhanh số"
_BY_CAMERA: Final = (
    "Đã kiểm tra qua camera, tình hình bình thường.",
    "Đã kiểm tra qua camera, hiện trường đã trở lại bình thường, không cần cử lực lượng.",
)
_OTHER: Final = ("Đã kiểm tra tại chỗ, tình hình đã ổn định.",)
_AT_THE_PLACE: Final = {
    "traffic": (
        "Tổ công tác đã điều tiết, giao thông thông suốt trở lại.",
        "Đã xử lý phương tiện tại hiện trường, đường đã thông.",
        "CSGT đã có mặt phân luồng, xe cộ lưu thông bình thường.",
    ),
    "security": (
        "Đã đến hiện trường nắm tình hình, đám đông đã giải tán, không có sự cố.",
        "Công an đã nhắc nhở, giữ trật tự; người dân đã ra về.",
    ),
    "flood": (
        "Đã vớt rác cửa thu nước, nước đã rút.",
        "Đội thoát nước đã bơm hút, mặt đường đi lại được.",
    ),
    "fire": (
        "Lực lượng đã đến kiểm tra, đã dập tắt, không có thiệt hại về người.",
        "Đã kiểm tra: khói do đốt rác, đã dập tắt và nhắc nhở.",
    ),
    "equipment": (
        "Đã khởi động lại thiết bị, tín hiệu ổn định.",
        "Đã kiểm tra nguồn và đường truyền, thiết bị hoạt động lại.",
    ),
}
_LASTING_OTHER: Final = "Đã xử lý bước đầu tại hiện trường, tiếp tục theo dõi."
_LASTING: Final = {
    "traffic": "Đã bố trí lực lượng điều tiết tại chỗ, tiếp tục theo dõi qua camera.",
    "flood": "Đã đặt biển cảnh báo và máy bơm, nước đang rút, tiếp tục theo dõi.",
    "equipment": "Đã lập phiếu sửa chữa, chuyển đơn vị bảo trì thay thiết bị.",
    "security": "Đã bố trí lực lượng giữ trật tự tại chỗ, tiếp tục theo dõi.",
    "fire": "Đã khống chế đám cháy, lực lượng ở lại chống cháy lại.",
}


def team_of(category: str, ward: str | None, wards: Mapping[str, str]) -> str:
    """Return the team for an incident; the same arguments give the same team.

    Args:
        category: the incident's, such as `traffic`; unknown ones have a team too.
        ward: its ward's code.
        wards: ward code → name, such as `Phường Dĩ An`.
    """
    name = wards.get(ward or "", "")
    if name and category == "traffic":
        return f"Đội CSGT {name.partition(' ')[2] or name}"
    if name and category == "security":
        return f"Công an {name[0].lower()}{name[1:]}"
    number = zlib.crc32((ward or "").encode()) % _TEAMS + 1
    return f"{_NUMBERED.get(category, _OTHER_TEAM)} {number}"


def note_of(category: str, *, sent: bool, cleared: bool, rng: random.Random) -> str:
    """Return what is written when an incident is resolved.

    Args:
        category: the incident's; unknown ones have a note too.
        sent: whether a team was there, or somebody looked at the camera only.
        cleared: whether the condition is over.
        rng: chooses among the notes that fit.
    """
    if not cleared:
        return _LASTING.get(category, _LASTING_OTHER)
    return rng.choice(_AT_THE_PLACE.get(category, _OTHER) if sent else _BY_CAMERA)
