"""`/v1`: the gateway's own face; objects are what the Kubernetes API has, errors have one form."""

from fastapi import APIRouter

from crawl_gateway.faces import Face
from crawl_gateway.v1 import (
    deadletters,
    events,
    exports,
    graphs,
    jobs,
    login,
    models,
    results,
    schedules,
    statistics,
    webhooks,
)

_router = APIRouter(prefix="/v1")
for _part in (jobs, schedules, deadletters, graphs, results, exports, statistics, events, webhooks, login):
    _router.include_router(_part.router)

FACE = Face(name="v1", router=_router, prefixes=("/v1",), models=(*models.ALL, *webhooks.MODELS, *login.MODELS))
