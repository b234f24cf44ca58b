"""CAP: alerts, updates and cancellations, written from the OASIS specification."""

from tests.conformance import Sample


def info(
    language: str = "vi",
    event: str = "Ngập nước",
    severity: str = "Severe",
    area: str = "<circle>10.98,106.65 2.5</circle>",
    more: str = "",
) -> str:
    """Return one `info` of an alert that expires at 20:00 local time."""
    return (
        f"<info><language>{language}</language><category>Met</category><event>{event}</event>"
        f"<responseType>Avoid</responseType><urgency>Immediate</urgency><severity>{severity}</severity>"
        "<certainty>Observed</certainty><effective>2026-11-22T16:50:00+07:00</effective>"
        "<expires>2026-11-22T20:00:00+07:00</expires><headline>Ngập sâu ở Thủ Dầu Một</headline>"
        f"<description>Nước sâu nửa mét trên đại lộ.</description>{more}<area>"
        f"<areaDesc>Thủ Dầu Một</areaDesc>"
        f"{area}<geocode><valueName>VN-ward</valueName><value>25747</value></geocode></area></info>"
    )


def alert(
    infos: str,
    name: str = "VN-2026-1",
    message: str = "Alert",
    references: str = "",
    status: str = "Actual",
    sent: str = "2026-11-22T16:50:00+07:00",
) -> str:
    """Return an alert around `infos`."""
    refers = f"<references>{references}</references>" if references else ""
    return (
        '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">'
        f"<identifier>{name}</identifier><sender>canhbao@example.vn</sender><sent>{sent}</sent>"
        f"<status>{status}</status><msgType>{message}</msgType><scope>Public</scope>{refers}{infos}</alert>"
    )


FIRST = "canhbao@example.vn,VN-2026-1,2026-11-22T16:50:00+07:00"
SECOND = "canhbao@example.vn,VN-2026-2,2026-11-22T16:55:00+07:00"
BOTH = info() + info("en-US", "Flash flood")
POLYGON = "<polygon>10.9,106.6 10.9,106.7 11.0,106.7 11.0,106.6 10.9,106.6</polygon>"
OWN_WORDS = (
    "<senderName>Đài Khí tượng</senderName><web>https://kttv.example.vn/1</web>"
    "<parameter><valueName>awareness_level</valueName><value>3; orange; Severe</value></parameter>"
    "<parameter><valueName>depth_m</valueName><value>0.5</value></parameter>"
    "<area><areaDesc>Dĩ An</areaDesc></area>"
)
_FORMAT = "CAP 1.2"


def _ours(name: str, body: str) -> Sample:
    return Sample(format=_FORMAT, name=name, decoder="cap", body=body.encode())


SAMPLES: list[Sample] = [
    _ours("alert in two languages, circle", alert(BOTH)),
    _ours("alert with a polygon", alert(info(area=POLYGON))),
    _ours("alert of two areas with words of the sender's own", alert(info(more=OWN_WORDS))),
    _ours("update", alert(BOTH, "VN-2026-2", "Update", FIRST)),
    _ours("cancellation", alert("", "VN-2026-3", "Cancel", f"{FIRST} {SECOND}")),
]
