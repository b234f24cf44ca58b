"""A report with pictures (multipart/form-data), read as it arrives and within bounds. Pure.

python-multipart finds the parts; what may be in them, and how much of it, is decided here. Pictures are parts
named `media` with a file name; everything else are the fields of the specification. A picture that is empty
counts as absent, as an empty field does.
"""

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ioc.api.georeport_input import MAX_FIELDS, Arguments, GeoReportError, require_no_nul
from ioc.model.texts import Text
from ioc.photos.check import MAX_BYTES

MULTIPART: Final = "multipart/form-data"
PICTURE: Final = "media"
MAX_PICTURES: Final = 5
MAX_FORM_BYTES: Final = 64 * 1024
"""Of all fields together, names included."""
MAX_FORM_TOTAL: Final = MAX_BYTES + 4 * MAX_FORM_BYTES
"""Of the whole body: what stands between the parts is bounded too."""

_AS_IT_IS: Final = frozenset({"", "binary", "8bit", "7bit"})
_NO_FORM: Final = Text(
    f"Nội dung không phải là biểu mẫu {MULTIPART} hợp lệ.", f"The body is no valid form of {MULTIPART}."
)
_TOO_MANY_FIELDS: Final = Text(
    f"Biểu mẫu có nhiều nhất {MAX_FIELDS} trường.", f"A form has at most {MAX_FIELDS} fields."
)
_TOO_LONG: Final = Text(
    f"Các trường của biểu mẫu có nhiều nhất {MAX_FORM_BYTES // 1024} KB.",
    f"The fields of a form have at most {MAX_FORM_BYTES // 1024} KB.",
)
_TOO_LARGE: Final = Text(
    f"{PICTURE}: ảnh của một phản ánh có tổng cộng nhiều nhất {MAX_BYTES >> 20} MB",
    f"{PICTURE}: the pictures of one report have at most {MAX_BYTES >> 20} MB together",
)
_TOO_MANY: Final = Text(
    f"{PICTURE}: có nhiều nhất {MAX_PICTURES} ảnh", f"{PICTURE}: has at most {MAX_PICTURES} pictures"
)
_ENCODED: Final = Text(
    f"{PICTURE}: phải gửi nguyên dạng nhị phân, không mã hóa",
    f"{PICTURE}: has to be sent as it is, without a transfer encoding",
)


class MultipartForm:
    """Feed it the body's chunks, then `finish`. Every method raises `GeoReportError`."""

    def __init__(self, content_type: str) -> None:
        """Begin a body of the type `content_type`, which names its boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._pairs: list[tuple[str, str]] = []
        self._found: list[bytes] = []
        self._parts = self._received = self._form_bytes = self._picture_bytes = 0
        self._header, self._headers = [b"", b""], dict[str, str]()
        self._name, self._is_picture, self._data = "", False, bytearray()
        self._before: list[tuple[str, str]] | None = None
        self._ended = False
        try:
            if not boundary:
                raise FormParserError("no boundary")
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._part_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise GeoReportError(400, _NO_FORM) from error

    @property
    def arguments(self) -> Arguments:
        """The fields that have come so far."""
        return Arguments(self._pairs)

    @property
    def arguments_before(self) -> Arguments:
        """Of those, the fields that stand before the first picture."""
        return Arguments(self._pairs if self._before is None else self._before)

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """The pictures that have come so far, as they were sent."""
        return tuple(self._found)

    @property
    def at_pictures(self) -> bool:
        """Whether the first byte of a picture has come."""
        return self._before is not None

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the body."""
        self._received += len(chunk)
        if self._received > MAX_FORM_TOTAL:
            raise GeoReportError(413, _TOO_LARGE)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise GeoReportError(400, _NO_FORM) from error

    def finish(self) -> None:
        """Say that the body has ended; one that was cut short is refused."""
        if not self._ended:
            raise GeoReportError(400, _NO_FORM)

    # what the parser finds ----------------------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise GeoReportError(400, _TOO_MANY_FIELDS)
        self._headers, self._header, self._data = {}, [b"", b""], bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _end_header(self) -> None:
        name, value = (part.decode("latin-1") for part in self._header)
        self._headers[name.lower()], self._header = value, [b"", b""]

    def _end_headers(self) -> None:
        kind, options = _disposition(self._headers.get("content-disposition", ""))
        name = options.get("name", "")
        if kind != "form-data" or not name:
            raise GeoReportError(400, _NO_FORM)
        media_type = self._headers.get("content-type", "").lower()
        self._is_picture = "filename" in options or media_type.startswith("image/")
        self._name = name.removesuffix("[]") if self._is_picture else name
        if not self._is_picture:
            self._count_form(len(name))
        elif self._name != PICTURE:
            raise GeoReportError(400, _no_file(name))
        elif self._headers.get("content-transfer-encoding", "").strip().lower() not in _AS_IT_IS:
            raise GeoReportError(400, _ENCODED)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_picture:
            self._count_form(end - start)
        else:
            if not self._data and len(self._found) >= MAX_PICTURES:
                raise GeoReportError(400, _TOO_MANY)
            self._before = self._pairs[:] if self._before is None else self._before
            self._picture_bytes += end - start
            if self._picture_bytes > MAX_BYTES:
                raise GeoReportError(413, _TOO_LARGE)
        self._data += data[start:end]

    def _end_part(self) -> None:
        if self._is_picture:
            if self._data:
                self._found.append(bytes(self._data))
            return
        try:
            pair = self._name, self._data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = Text(f"{self._name}: phải là UTF-8", f"{self._name}: expected UTF-8")
            raise GeoReportError(400, text) from error
        require_no_nul([pair])
        self._pairs.append(pair)

    def _end(self) -> None:
        self._ended = True

    def _count_form(self, more: int) -> None:
        self._form_bytes += more
        if self._form_bytes > MAX_FORM_BYTES:
            raise GeoReportError(413, _TOO_LONG)


def _disposition(value: str) -> tuple[str, dict[str, str]]:
    """Return what a Content-Disposition says; its texts are UTF-8 behind Latin-1, as HTTP has it."""
    try:
        kind, options = parse_options_header(value)
        return kind.decode(), {key.decode(): text.decode("utf-8") for key, text in options.items()}
    except UnicodeError as error:
        raise GeoReportError(400, _NO_FORM) from error


def _no_file(name: str) -> Text:
    return Text(
        f"{name[:40]}: ảnh phải gửi trong trường {PICTURE}", f"{name[:40]}: pictures are sent as {PICTURE}"
    )
