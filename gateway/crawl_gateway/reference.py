"""`/docs`: the OpenAPI document as a page, with files of its own and nothing from anywhere else."""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

router: Final = APIRouter(include_in_schema=False)

_FOLDER: Final = files("fastapi_offline") / "static"
_KINDS: Final = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon.png": "image/png"}
_START: Final = """\
SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, persistAuthorization: false,
  validatorUrl: null, // another server's
});
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Crawl gateway: API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<main id="page"></main>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_KEPT: Final = {"Cache-Control": "public, max-age=3600"}


@router.get("/docs")
async def page() -> Response:
    """Return the page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    """Return a file of the page's."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers=_KEPT)
    if name not in _KINDS:
        return Response(status_code=404)
    return Response((_FOLDER / name).read_bytes(), media_type=_KINDS[name], headers=_KEPT)
