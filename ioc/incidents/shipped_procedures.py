"""The procedures that are shipped: one for every category of the shipped rules.

Centres replace them by their own (`ioc policies show procedures`, `push`). The telephone numbers are the
nation's: 113 police, 114 fire and rescue, 115 ambulance.
"""

from typing import Final

from ioc.incidents.procedures import Choice, Procedure, ProcedureStep, When, Wording
from ioc.model.incidents import StepKind

_YES: Final = Choice("yes", Wording("Có", "Yes"))
_NO: Final = Choice("no", Wording("Không", "No"))
_REAL: Final = When("verify", "yes")
_NOT_REAL: Final = When("verify", "no")


def _ask(name: str, vi: str, en: str, *, when: When | None = None, required: bool = True) -> ProcedureStep:
    return ProcedureStep(
        id=name,
        text=Wording(vi, en),
        kind=StepKind.CHOICE,
        choices=(_YES, _NO),
        when=when,
        required=required,
    )


def _do(
    name: str, vi: str, en: str, *, when: When | None = None, required: bool = True, kind: str = "confirm"
) -> ProcedureStep:
    return ProcedureStep(id=name, text=Wording(vi, en), when=when, required=required, kind=StepKind(kind))


_FALSE_ALARM: Final = _do(
    "cause",
    "Ghi nguyên nhân báo nhầm để chỉnh quy tắc",
    "Note why it was a false alarm, so that the rule can be mended",
    when=_NOT_REAL,
    kind="note",
)
_PHOTO: Final = _do(
    "photo",
    "Đính kèm ảnh hiện trường sau xử lý",
    "Attach a picture of the place afterwards",
    when=_REAL,
    required=False,
    kind="photo",
)

_FIRE: Final = Procedure(
    title=Wording("Cháy, khói", "Fire, smoke"),
    category="fire",
    steps=(
        _ask(
            "verify",
            "Xem camera tại chỗ và camera gần nhất: có khói hoặc lửa thật không?",
            "Look at this camera and the nearest: is there smoke or fire?",
        ),
        _do(
            "call-114",
            "Báo Cảnh sát PCCC và CNCH (114): địa chỉ, loại công trình, có người mắc kẹt hay không",
            "Call fire and rescue (114): address, kind of building, whether people are trapped",
            when=_REAL,
        ),
        _do(
            "call-ward",
            "Báo trực ban Công an và UBND phường, xã: lực lượng tại chỗ ra hiện trường, sơ tán dân",
            "Tell the ward's police and office on duty: send people, clear the neighbourhood",
            when=_REAL,
        ),
        _do(
            "clear-way",
            "Báo CSGT phân luồng, giữ lối cho xe chữa cháy",
            "Ask traffic police to keep a way open for the engines",
            when=_REAL,
        ),
        _ask(
            "injured",
            "Có người bị thương hoặc mắc kẹt không?",
            "Is anybody hurt or trapped?",
            when=_REAL,
        ),
        _do(
            "call-115",
            "Báo cấp cứu (115): số người, tình trạng, điểm đón xe",
            "Call the ambulance (115): how many, in what state, where to meet",
            when=When("injured", "yes"),
        ),
        _do(
            "power",
            "Đề nghị điện lực cắt điện khu vực khi chỉ huy chữa cháy yêu cầu",
            "Have the power cut where the officer in charge asks for it",
            when=_REAL,
            required=False,
        ),
        _do(
            "outcome",
            "Ghi giờ lực lượng đến, giờ khống chế, thiệt hại ban đầu",
            "Note when help came, when the fire was under control, first losses",
            when=_REAL,
            kind="note",
        ),
        _PHOTO,
        _FALSE_ALARM,
    ),
)
_WRONG_WAY: Final = Procedure(
    title=Wording("Xe đi ngược chiều", "Wrong-way driver"),
    rules=("wrong-way",),
    steps=(
        _ask(
            "verify",
            "Xem lại hình: xe đi ngược chiều thật, không phải xe ưu tiên hoặc thi công?",
            "Look at the picture: a wrong-way driver, not an emergency or works vehicle?",
        ),
        _do(
            "warn",
            "Bật biển báo điện tử, loa cảnh báo cho xe đi đúng chiều",
            "Warn oncoming traffic by signs and loudspeakers",
            when=_REAL,
            required=False,
        ),
        _do(
            "call-police",
            "Báo CSGT: tuyến, hướng, đặc điểm xe, vị trí gần nhất",
            "Tell traffic police: road, direction, what the vehicle looks like, last position",
            when=_REAL,
        ),
        _ask("crash", "Có va chạm không?", "Has there been a crash?", when=_REAL),
        _do(
            "call-115",
            "Báo cấp cứu (115) và cứu hộ nếu có người bị thương, xe hư hỏng",
            "Call ambulance (115) and recovery for people hurt, vehicles damaged",
            when=When("crash", "yes"),
        ),
        _do(
            "outcome",
            "Ghi kết quả: xe đã dừng, đã rời tuyến, hay chưa tìm thấy",
            "Note the outcome: stopped, left the road, or not found",
            when=_REAL,
            kind="note",
        ),
        _FALSE_ALARM,
    ),
)
_TRAFFIC: Final = Procedure(
    title=Wording("Ùn tắc, cản trở giao thông", "Congestion, obstructed road"),
    category="traffic",
    steps=(
        ProcedureStep(
            id="cause",
            text=Wording("Xem camera, xác định nguyên nhân", "Look at the cameras and name the cause"),
            kind=StepKind.CHOICE,
            choices=(
                Choice("crash", Wording("Tai nạn", "Crash")),
                Choice("stopped", Wording("Xe hỏng, dừng đỗ", "Stopped vehicle")),
                Choice("flood", Wording("Ngập nước", "Flooding")),
                Choice("volume", Wording("Lưu lượng lớn", "Heavy traffic")),
                Choice("none", Wording("Không ùn tắc", "No congestion")),
            ),
        ),
        _ask("injured", "Có người bị thương không?", "Is anybody hurt?", when=When("cause", "crash")),
        _do(
            "call-115",
            "Báo cấp cứu (115): vị trí, số người, lối vào còn thông",
            "Call the ambulance (115): place, how many, which way in is free",
            when=When("injured", "yes"),
        ),
        _do(
            "crash-police",
            "Báo CSGT giữ hiện trường, phân luồng",
            "Have traffic police secure the place and divert traffic",
            when=When("cause", "crash"),
        ),
        _do(
            "tow",
            "Điều xe cứu hộ, báo chủ xe hoặc công an phường, xã",
            "Send recovery; tell the owner or the ward's police",
            when=When("cause", "stopped"),
        ),
        _do(
            "drain",
            "Báo đơn vị thoát nước, đặt rào chắn, biển cảnh báo",
            "Tell the drainage company; set up barriers and signs",
            when=When("cause", "flood"),
        ),
        _do(
            "signals",
            "Chỉnh chu kỳ đèn, mở làn, thông báo trên biển điện tử và VOV giao thông",
            "Change signal times, open a lane, tell signs and traffic radio",
            required=False,
        ),
    ),
)
_FLOOD: Final = Procedure(
    title=Wording("Ngập nước", "Flooding"),
    category="flood",
    steps=(
        _ask(
            "verify",
            "Xem camera, hỏi người báo tin: đường có ngập thật không?",
            "Look at cameras, ask whoever reported: is the road flooded?",
        ),
        _do(
            "depth",
            "Ghi độ sâu ước tính, chiều dài đoạn ngập, xe máy có qua được không",
            "Note depth, length, and whether motorcycles get through",
            when=_REAL,
            kind="note",
        ),
        _do(
            "barrier",
            "Báo phường, xã đặt rào chắn, biển cảnh báo; cử người hướng dẫn",
            "Have the ward set up barriers and signs and post people",
            when=_REAL,
        ),
        _do(
            "drainage",
            "Báo đơn vị thoát nước: mở cửa xả, bơm, vớt rác miệng cống",
            "Tell the drainage company: open gates, pump, clear inlets",
            when=_REAL,
        ),
        _ask(
            "danger",
            "Có hầm chui, tủ điện hoặc nhà dân bị nước tràn vào không?",
            "Is an underpass, an electrical cabinet or a house taking water?",
            when=_REAL,
        ),
        _do(
            "rescue",
            "Đóng hầm chui, báo điện lực cắt điện, báo 114 nếu phải cứu người",
            "Close the underpass, have the power cut, call 114 where people need rescue",
            when=When("danger", "yes"),
        ),
        _PHOTO,
        _FALSE_ALARM,
    ),
)
_CROWD: Final = Procedure(
    title=Wording("Tụ tập đông người", "Crowd"),
    rules=("crowd",),
    steps=(
        ProcedureStep(
            id="nature",
            text=Wording("Xem camera: đám đông thuộc loại nào?", "Look at the camera: what kind of crowd?"),
            kind=StepKind.CHOICE,
            choices=(
                Choice("planned", Wording("Sự kiện đã được phép", "A permitted event")),
                Choice("spontaneous", Wording("Tự phát, ôn hoà", "Spontaneous, calm")),
                Choice("disorder", Wording("Xô xát, nguy cơ giẫm đạp", "Fighting, danger of a crush")),
                Choice("none", Wording("Không đông", "No crowd")),
            ),
        ),
        _do(
            "organiser",
            "Gọi ban tổ chức: giãn người, mở thêm lối ra",
            "Call the organisers: spread people, open more exits",
            when=When("nature", "planned"),
        ),
        _do(
            "ward-police",
            "Báo công an phường, xã cử người theo dõi",
            "Have the ward's police send somebody to watch",
            when=When("nature", "spontaneous"),
        ),
        _do(
            "call-113",
            "Báo 113 và công an phường, xã; giữ lối thoát và lối xe cứu thương",
            "Call 113 and the ward's police; keep exits and the ambulance's way free",
            when=When("nature", "disorder"),
        ),
        _do(
            "standby-115",
            "Đề nghị cấp cứu (115) chờ sẵn gần đó",
            "Ask the ambulance (115) to stand by",
            when=When("nature", "disorder"),
        ),
        _do(
            "watch",
            "Theo dõi camera tới khi đám đông tan",
            "Watch the cameras until the crowd has gone",
            required=False,
        ),
    ),
)
_PLATE: Final = Procedure(
    title=Wording("Biển số cần theo dõi", "Plate to look for"),
    category="security",
    steps=(
        _ask(
            "verify",
            "So ảnh với biển số: đọc đúng, đúng loại xe?",
            "Compare picture and plate: read rightly, the right kind of vehicle?",
        ),
        _do(
            "owner",
            "Báo đơn vị công an yêu cầu theo dõi: thời gian, tuyến, hướng đi",
            "Tell the police unit that asked: time, road, direction",
            when=_REAL,
        ),
        _do(
            "no-share",
            "Không gửi ảnh, biển số qua kênh ngoài hệ thống",
            "Send neither picture nor plate outside this system",
            when=_REAL,
        ),
        _do(
            "outcome",
            "Ghi đơn vị và người đã nhận tin",
            "Note the unit and the person who took the message",
            when=_REAL,
            kind="note",
        ),
        _FALSE_ALARM,
    ),
)
_EQUIPMENT: Final = Procedure(
    title=Wording("Thiết bị mất tín hiệu", "Silent equipment"),
    category="equipment",
    steps=(
        ProcedureStep(
            id="cause",
            text=Wording(
                "Xem thiết bị lân cận, hỏi điện lực và nhà mạng: nguyên nhân?",
                "Look at devices nearby, ask power and network companies: what is the cause?",
            ),
            kind=StepKind.CHOICE,
            choices=(
                Choice("power", Wording("Mất điện", "No power")),
                Choice("network", Wording("Mất mạng", "No network")),
                Choice("device", Wording("Hỏng thiết bị", "Broken device")),
                Choice("works", Wording("Bảo trì, thi công", "Maintenance, works")),
            ),
        ),
        _do(
            "ticket",
            "Báo đơn vị bảo trì, ghi số phiếu và giờ hẹn",
            "Tell the maintenance company; note ticket and time",
            when=When("cause", "device"),
            kind="note",
        ),
        _do(
            "provider",
            "Báo điện lực hoặc nhà mạng, ghi giờ dự kiến khôi phục",
            "Tell the provider; note when it should be back",
            required=False,
            kind="note",
        ),
        _do(
            "cover",
            "Chọn camera thay thế cho khu vực, báo kíp trực",
            "Choose cameras that cover the area meanwhile; tell the shift",
            required=False,
        ),
    ),
)
_CITIZEN: Final = Procedure(
    title=Wording("Phản ánh của người dân", "Citizen's report"),
    category="citizen",
    steps=(
        ProcedureStep(
            id="competence",
            text=Wording("Phân loại: ai có thẩm quyền?", "Sort: who is competent?"),
            kind=StepKind.CHOICE,
            choices=(
                Choice("ward", Wording("Phường, xã", "The ward")),
                Choice("department", Wording("Sở, ngành", "A department")),
                Choice("unclear", Wording("Chưa rõ", "Unclear")),
                Choice("outside", Wording("Ngoài phạm vi", "Not ours")),
            ),
        ),
        _do(
            "settle",
            "Hỏi ý kiến trưởng ca trong 1 giờ để chốt đơn vị chủ trì",
            "Settle with the shift lead within the hour who leads",
            when=When("competence", "unclear"),
        ),
        _do(
            "receipt",
            "Nhắn người dân: đã tiếp nhận, mã tra cứu, thời hạn trả lời",
            "Tell the citizen: received, tracking code, when to expect an answer",
        ),
        _do(
            "guide",
            "Hướng dẫn người dân tới đúng cơ quan",
            "Tell the citizen which office to turn to",
            when=When("competence", "outside"),
        ),
        _do(
            "answer",
            "Ghi nội dung trả lời đã gửi người dân",
            "Note the answer that was sent to the citizen",
            kind="note",
        ),
        _do(
            "photo",
            "Đính kèm ảnh kết quả xử lý",
            "Attach a picture of the result",
            required=False,
            kind="photo",
        ),
    ),
)

SHIPPED: Final = (
    _FIRE, _WRONG_WAY, _TRAFFIC, _FLOOD, _CROWD, _PLATE, _EQUIPMENT, _CITIZEN,
)  # fmt: skip
