"""The body of a report sent by Open311: its fields first, its pictures once the sender is known.

Whoever has no key is refused before more than a little of a picture has been read. Therefore `api_key` stands
before the pictures, as clients send it anyway: fields, then files.
"""

import asyncio
from typing import Final

from starlette.requests import Request

from ioc.api.georeport_form import MAX_FORM_BYTES, MULTIPART, MultipartForm
from ioc.api.georeport_input import FORM, Arguments, GeoReportError, read_arguments
from ioc.model.texts import Text

READ_TIMEOUT_S: Final = 60.0
_TYPES: Final = Text(
    f"Content-Type phải là {FORM} hoặc {MULTIPART}.", f"Content-Type has to be {FORM} or {MULTIPART}."
)
_TOO_LARGE: Final = Text(
    f"Biểu mẫu có nhiều nhất {MAX_FORM_BYTES // 1024} KB; ảnh gửi bằng {MULTIPART}.",
    f"A form has at most {MAX_FORM_BYTES // 1024} KB; pictures are sent as {MULTIPART}.",
)
_TOO_SLOW: Final = Text(
    f"Phản ánh không đến đủ trong {READ_TIMEOUT_S:g} giây.",
    f"The report did not arrive within {READ_TIMEOUT_S:g} s.",
)


class IncomingForm:
    """One body: call `fields`, then `rest`. Both raise `GeoReportError`.

    `request.state.unread` says that the sender may still be sending.
    """

    def __init__(self, request: Request) -> None:
        self._state = request.state
        self._state.unread = True
        content_type = request.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in (FORM, MULTIPART):
            raise GeoReportError(400, _TYPES)
        self._multipart = MultipartForm(content_type) if kind == MULTIPART else None
        self._plain = bytearray()
        self._chunks = request.stream()
        self._until_s = asyncio.get_running_loop().time() + READ_TIMEOUT_S

    @property
    def has_pictures(self) -> bool:
        """Whether a picture has begun to come."""
        return self._multipart is not None and self._multipart.at_pictures

    async def fields(self) -> Arguments:
        """Read up to the first picture, or all where there is none, and return the fields before it."""
        await self._read(until_pictures=True)
        return self._multipart.arguments_before if self._multipart else self._plain_arguments()

    async def rest(self) -> tuple[Arguments, tuple[bytes, ...]]:
        """Read the rest, and return all fields and the pictures as they were sent."""
        await self._read(until_pictures=False)
        if self._multipart:
            return self._multipart.arguments, self._multipart.pictures
        return self._plain_arguments(), ()

    async def _read(self, *, until_pictures: bool) -> None:
        try:
            async with asyncio.timeout_at(self._until_s):
                async for chunk in self._chunks:
                    self._feed(chunk)
                    if until_pictures and self.has_pictures:
                        return
        except TimeoutError as error:
            raise GeoReportError(408, _TOO_SLOW) from error
        self._state.unread = False
        if self._multipart:
            self._multipart.finish()

    def _feed(self, chunk: bytes) -> None:
        if self._multipart:
            self._multipart.feed(chunk)
            return
        self._plain += chunk
        if len(self._plain) > MAX_FORM_BYTES:
            raise GeoReportError(413, _TOO_LARGE)

    def _plain_arguments(self) -> Arguments:
        return read_arguments(bytes(self._plain))
