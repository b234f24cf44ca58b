"""What simulated citizens write. Everything is invented, phone numbers included."""

import random
import unicodedata
from typing import Any, Final

UNACCENTED_SHARE: Final = 0.3
"""Citizens who type without diacritics."""

_ORDINARY = (
    ("pothole", "Ổ gà lớn giữa đường", "Ổ gà sâu, xe máy đi qua rất nguy hiểm, đề nghị vá sớm."),
    ("garbage", "Rác tồn đọng", "Rác để ba ngày chưa thu gom, bốc mùi hôi."),
    ("streetlight", "Đèn đường hỏng", "Cả đoạn đường tối, đèn không sáng từ tối qua."),
    ("noise", "Ồn ào ban đêm", "Quán karaoke mở nhạc lớn sau 22 giờ."),
    ("illegal_parking", "Đậu xe lấn chiếm", "Xe tải đậu chắn lối đi trước cổng trường."),
    ("tree", "Cây nghiêng nguy hiểm", "Cây bị nghiêng sau mưa, có thể đổ vào dây điện."),
    ("water_supply", "Mất nước", "Khu phố mất nước từ sáng, chưa có thông báo."),
    ("sidewalk", "Vỉa hè bị lấn chiếm", "Hàng quán bày hết vỉa hè, người đi bộ phải xuống lòng đường."),
)
_FLOOD = (
    ("Ngập nước sâu", "Nước ngập gần nửa bánh xe, nhiều xe chết máy."),
    ("Đường ngập sau mưa", "Mưa lớn, nước không thoát kịp, ngập khoảng 40 cm."),
    ("Ngập trước nhà", "Nước tràn vào nhà, đề nghị hỗ trợ."),
    ("Hố ga trào ngược", "Nước từ hố ga trào lên, cả đoạn đường bị ngập."),
)
_CHANNELS = ("app", "1022", "web", "zalo")


def ordinary_report(rng: random.Random, *, accented: bool = False) -> dict[str, object]:
    """Return a report about anything but a flood; `accented` ones have all their diacritics."""
    category, title, text = rng.choice(_ORDINARY)
    return _report(rng, category, title, text, accented)


def flood_report(rng: random.Random) -> dict[str, object]:
    """Return a report of a flooded street."""
    title, text = rng.choice(_FLOOD)
    return _report(rng, "flood", title, text)


def retold(report: dict[str, Any], number: int) -> dict[str, object]:
    """Return the same complaint as neighbour `number` writes it; every second does without diacritics."""
    told: dict[str, object] = report | {"contact": f"0900 001 {number % 1000:03d}"}
    if number % 2:
        told |= {name: unaccented(report[name]) for name in ("title", "text")}
    return told


def misplaced(lon: float, lat: float, number: int) -> dict[str, object]:
    """Return one of the positions that phones and forms get wrong: none, swapped, abroad, the equator."""
    wrong = ((0.0, 0.0), (lat, lon), (103.85, 1.29), (lon, 0.0))
    east, north = wrong[number % len(wrong)]
    return {"lon": round(east, 6), "lat": round(north, 6)}


def unaccented(text: str) -> str:
    """Return Vietnamese `text` as it is typed without diacritics."""
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _report(
    rng: random.Random, category: str, title: str, text: str, accented: bool = False
) -> dict[str, object]:
    channel, contact = rng.choice(_CHANNELS), f"0900 000 {rng.randrange(1000):03d}"
    if not accented and rng.random() < UNACCENTED_SHARE:
        title, text = unaccented(title), unaccented(text)
    return {
        "category": category,
        "title": title,
        "text": text,
        "contact": contact,
        "channel": channel,
    }
