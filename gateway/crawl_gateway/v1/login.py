"""`/v1/login`: a password for a token, where that is configured."""

from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from crawl_client.errors import ValidationError as InvalidError
from crawl_gateway.errors import Problem, RefusedError, bad_request, refused
from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import address_of, core_of
from crawl_gateway.v1.bodies import errors
from crawl_gateway.v1.examples import PROBLEMS
from crawl_gateway.v1.models import Model

router: Final = APIRouter(tags=["login"])

_MOST: Final = 8 << 10
"""Bytes of a request."""
_NOT_HERE: Final = "passwords are not exchanged here: send a Kubernetes token"


class Credentials(Model):
    """Who asks, and how they prove it."""

    email: Annotated[str, Field(min_length=1, max_length=320)]
    """What the provider knows them as."""
    password: Annotated[str, Field(min_length=1, max_length=1024)]


class LoginToken(Model):
    """A token, for the header `Authorization` of later requests; members are called as OAuth 2.0 has them."""

    access_token: Annotated[str, Field(alias="access_token")]
    token_type: Annotated[str, Field(alias="token_type")]
    """Bearer."""
    expires_in: Annotated[int | None, Field(alias="expires_in")]
    """Seconds; null where the provider does not say."""


MODELS: Final = (Credentials, LoginToken)

_PROBLEMS: Final = {
    401: (
        "The identity provider does not accept e-mail and password.",
        Problem(401, "Unauthorized", "the identity provider does not accept this e-mail and password"),
    ),
    404: ("No login is configured.", Problem(404, "LoginNotConfigured", _NOT_HERE)),
    502: (
        "The identity provider does not take the gateway, or says what nobody understands.",
        Problem(502, "LoginFailed", "the identity provider gives no token: HTTP 401, invalid_client"),
    ),
    503: (
        "The identity provider does not answer.",
        Problem(503, "LoginUnavailable", "the identity provider does not answer", retry_after=5),
    ),
}


@router.post(
    "/login",
    operation_id="login",
    summary="Exchange a password for a token",
    openapi_extra=takes(Credentials, example={"email": "jo@example.org", "password": "correct horse battery staple"}),
    responses={
        200: gives(
            "The token.",
            LoginToken,
            example={"access_token": "eyJhbGciOiJSUzI1NiJ9.…", "token_type": "Bearer", "expires_in": 3600},
        ),
        **errors({status: PROBLEMS[status] for status in (400, 413, 422, 429)} | _PROBLEMS),
    },
)
async def login(request: Request) -> Response:
    """Have the configured OpenID provider exchange e-mail and password for a token that other requests carry."""
    core = core_of(request)
    if core.login is None:
        raise refused(404, "LoginNotConfigured", _NOT_HERE)
    try:
        core.login.limiter.take(address_of(request))
    except RefusedError:
        core.metrics.limited.inc()
        raise
    given = await _given(request)
    granted = await core.login.token(given.email, given.password)
    return Json({"access_token": granted.token, "token_type": "Bearer", "expires_in": granted.seconds})


async def _given(request: Request) -> Credentials:
    """Read the body, of which nothing is repeated.

    Raises:
        RefusedError: 400; 413.
        ValidationError: a member is missing, or has another form.
    """
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST:
            raise refused(413, "PayloadTooLarge", f"more than {_MOST} bytes")
    try:
        return Credentials.model_validate(from_json(content))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
        raise InvalidError(wrong) from None
    except ValueError:
        raise bad_request("the body is not JSON") from None
