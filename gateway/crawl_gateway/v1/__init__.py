"""`/v1`: the gateway's own face; objects are what the Kubernetes API has, errors have one form."""

from fastapi import APIRouter

from crawl_gateway.faces import Face
from crawl_gateway.v1 import jobs, models

_router = APIRouter(prefix="/v1")
for _part in (jobs.router,):
    _router.include_router(_part)

FACE = Face(name="v1", router=_router, prefixes=("/v1",), models=models.ALL)
