"""The built pages: `/NAME` is `NAME.html`, `/` the console; a browser that navigates elsewhere is told so."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_NOT_BUILT_HEADERS: Final = {"Cache-Control": "no-store"}
_METHODS: Final = ("GET", "HEAD")
_ROOT: Final = ("", ".")
_OURS: Final = ("api/", "metrics", "healthz", "readyz")


class Console(StaticFiles):
    """Serves `folder`: files, `/NAME` where `NAME.html` was built, `404.html` (with that status) for other
    addresses that a browser navigates to.

    Files below `assets/` carry a hash in their names and never change; everything else is asked for again.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)
        self._index = folder / "index.html"
        self._missing = folder / "404.html"

    async def check_config(self) -> None:
        """Accept an absent folder: `get_response` says what to do about it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, the start page, the page for an address that is none, or how to build the console.

        Raises:
            HTTPException: 405, only GET and HEAD are answered; 404, there is no such file.
        """
        if scope["method"] not in _METHODS:
            # Below the API's addresses other methods may be right, just not this one.
            allowed = None if path.startswith(_OURS) else {"Allow": ", ".join(_METHODS)}
            raise HTTPException(405, headers=allowed)
        if not self._index.is_file():
            if path not in _ROOT and not self._is_page(path, scope):
                raise HTTPException(404)
            return PlainTextResponse("The console is not built: run `make setup`.\n", 503, _NOT_BUILT_HEADERS)
        response = await self._find(path, scope)
        immutable = path.startswith("assets/") and response.status_code in (200, 206, 304)
        response.headers["Cache-Control"] = _IMMUTABLE if immutable else _ASK_AGAIN
        return response

    async def _find(self, path: str, scope: Scope) -> Response:
        if path in _ROOT:
            return FileResponse(self._index)
        if "." not in path and "/" not in path:
            with suppress(HTTPException):
                return await super().get_response(f"{path}.html", scope)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or not self._is_page(path, scope) or not self._missing.is_file():
                raise
            return FileResponse(self._missing, 404)

    @staticmethod
    def _is_page(path: str, scope: Scope) -> bool:
        accepts = Headers(scope=scope).get("accept", "")
        return not path.startswith(_OURS) and "text/html" in accepts and "." not in path.rpartition("/")[2]
