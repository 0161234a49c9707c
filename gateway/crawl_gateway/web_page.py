"""`/`: a page for people, whose files lie in `page/`. It asks the API as everybody else does, and may no more."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

router: Final = APIRouter(include_in_schema=False)

_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_INDEX: Final = "index.html"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing inline and nothing from elsewhere; the last line has the browser refuse texts where HTML or code is taken."""


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    tag: str

    def answer(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY, "ETag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def _read() -> dict[str, _File]:
    found = {}
    for file in (files("crawl_gateway") / "page").iterdir():
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:32]
        found[file.name] = _File(content, _KINDS[file.name.rpartition(".")[2]], f'"{digest}"')
    return found


_FILES: Final = _read()


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page."""
    return _FILES[_INDEX].answer(request)


@router.get("/page/{name}")
async def file(name: str, request: Request) -> Response:
    """Return a file of the page's."""
    if name not in _FILES:
        raise HTTPException(404)
    return _FILES[name].answer(request)
