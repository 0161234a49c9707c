"""Who may what: Kubernetes' own rights, asked for by SubjectAccessReview."""

from typing import Any, Final

from crawl_api.names import GROUP
from crawl_client.transport import Transport
from crawl_gateway.errors import RefusedError, refused
from crawl_gateway.identity import Caller
from crawl_gateway.recent import Recent

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_Question = tuple[Caller, str, str, str, str]


class Rights:
    """Answers whether a caller may do something to our objects.

    Args:
        transport: how to ask the API server.
        seconds: for how long an answer is trusted.
    """

    def __init__(self, transport: Transport, seconds: float) -> None:
        self._transport = transport
        self._answers: Recent[_Question, bool] = Recent(seconds)

    async def allowed(self, caller: Caller, verb: str, resource: str, namespace: str, name: str = "") -> bool:
        """Tell whether a caller may; namespace "" is all of them, name "" any; a subresource stands after a slash."""
        question = (caller, verb, resource, namespace, name)
        return await self._answers.get(question, lambda: self._review(*question))

    async def require(self, caller: Caller, verb: str, resource: str, namespace: str, name: str = "") -> None:
        """Pass if a caller may.

        Raises:
            RefusedError: 403. It does not say the object's name: whether there is one is not told to just anybody.
        """
        if not await self.allowed(caller, verb, resource, namespace, name):
            raise forbidden(caller, verb, resource, namespace)

    async def _review(self, caller: Caller, verb: str, resource: str, namespace: str, name: str) -> bool:
        resource, _, part = resource.partition("/")
        attributes = {"verb": verb, "group": GROUP, "resource": resource, "subresource": part}
        attributes |= {"namespace": namespace, "name": name}
        spec: dict[str, Any] = {
            "user": caller.name,
            "uid": caller.uid,
            "groups": caller.groups,
            "extra": {key: list(values) for key, values in caller.extra},
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._transport.call("POST", _REVIEWS, body=review)).get("status") or {}
        return bool(status.get("allowed"))


def forbidden(caller: Caller, verb: str, resource: str, namespace: str) -> RefusedError:
    """Make the error of a right that is missing."""
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    return refused(403, "Forbidden", f"{caller.name} may not {verb} {resource}.{GROUP} {where}")
