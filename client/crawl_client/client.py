"""The client: one object that opens the connection and holds the groups of methods."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from crawl_client import bulk, waiting, waits
from crawl_client.answers import Outcome
from crawl_client.deadletters import DeadLetters
from crawl_client.downloads import Downloads
from crawl_client.jobs import Jobs
from crawl_client.kubeconfig import Login, find
from crawl_client.models import Job
from crawl_client.results import Results
from crawl_client.schedules import Schedules
from crawl_client.stats import Health, Stats
from crawl_client.transport import Transport
from crawl_client.workers import Workers

if TYPE_CHECKING:
    from crawl_client.requested import NewJob


class CrawlClient:
    """Crawls of one cluster, straight through its Kubernetes API and with the rights of who asks.

    Example::

        async with CrawlClient() as client:
            job = await client.jobs.submit(single("https://example.org/"))
            done = await client.wait(job.name, timeout=300)
            async for record in client.results.records(done.name):
                print(record["title"])

    Args:
        kubeconfig: a file; None for $KUBECONFIG, a pod's service account, or ~/.kube/config.
        context: of the kubeconfig; None for its current one.
        namespace: the one that is meant where none is named; None for the context's.
        server: URL of an API server, instead of what the kubeconfig says.
        token: a bearer token, instead of what the kubeconfig says.
        timeout: seconds for one request.
        retries: further tries after an answer, or a silence, that another try can change.
        parallel: connections at once.
        results_url: where the operator hands out what its own store holds: `https://…`, or
            `service://NAMESPACE/NAME:PORT` for a Service that `kubectl port-forward` reaches; None for
            $CRAWL_RESULTS_URL, and without it for `service://crawl-operator/crawl-operator:8082`.
        results_token: a token for that alone, instead of the one that the API server is sent; None for
            $CRAWL_RESULTS_TOKEN.

    Raises:
        ConfigurationError: no cluster can be told from all that.
    """

    def __init__(  # noqa: PLR0913 - what a connection may be told
        self,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        namespace: str | None = None,
        server: str | None = None,
        token: str | None = None,
        timeout: float = 30,
        retries: int = 4,
        parallel: int = 32,
        results_url: str | None = None,
        results_token: str | None = None,
    ) -> None:
        if server is not None and token is not None and kubeconfig is None and context is None:
            login = Login(server.rstrip("/"), namespace or "default")
        else:
            login = find(kubeconfig, context, namespace)
            if server is not None:
                login = replace(login, server=server.rstrip("/"))
            if token is not None:  # and no certificate beside it, which would win
                login = replace(login, user={})
        self._transport = Transport(login, token=token, timeout=timeout, retries=retries, parallel=parallel)
        self.jobs = Jobs(self._transport)
        self.schedules = Schedules(self._transport)
        self._downloads = Downloads(self._transport, results_url, results_token)
        self.results = Results(self.jobs, self._downloads)
        self.dead_letters = DeadLetters(self.jobs)
        self.workers = Workers(self._transport, self.jobs)
        self.stats = Stats(self._transport, self.jobs, self.workers)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._downloads.aclose()
        await self._transport.__aexit__()

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self._transport.login.namespace

    @property
    def login(self) -> Login:
        """Where the cluster is."""
        return self._transport.login

    async def wait(  # noqa: PLR0913 - what waiting may be told
        self,
        name: str,
        namespace: str | None = None,
        *,
        until: waiting.Until = waiting.finished,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the face
        poll: float = 2.0,
        seen: Callable[[Job], None] | None = None,
        check: bool = True,
    ) -> Job:
        """Wait for a job's end, or whatever `until` says of it.

        It is watched; where that is not allowed or not possible, it is asked for every `poll` seconds.

        Args:
            name: which; everything that `jobs.get` understands.
            namespace: whose.
            until: tells whether a job is what is waited for; one that has ended always is.
            timeout: seconds; None waits as long as it takes.
            poll: seconds between two questions where it cannot be watched.
            seen: called with the job whenever it is seen.
            check: raise where it ended without success.

        Raises:
            JobFailedError: it ended without success (only with `check`).
            NotFoundError: there is none, or it was deleted.
            TimeoutError: it took longer.
        """
        return await waiting.wait(
            self.jobs, name, namespace, until=until, timeout=timeout, poll=poll, seen=seen, check=check
        )

    async def wait_all(  # noqa: PLR0913 - what waiting may be told
        self,
        names: Iterable[str],
        namespace: str | None = None,
        *,
        until: waiting.Until = waiting.finished,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the face
        poll: float = 2.0,
        seen: Callable[[Job], None] | None = None,
    ) -> dict[str, Job]:
        """Wait for jobs, however many, with one watch; see `wait`. How they ended is for the caller to see.

        Returns:
            The jobs by name, in the order in which they ended.
        """
        return await waiting.wait_all(self.jobs, names, namespace, until=until, timeout=timeout, poll=poll, seen=seen)

    async def submit_all(self, new: "Iterable[NewJob]", *, parallel: int = 16) -> Outcome[Job]:
        """Submit many jobs, at most `parallel` at once; one that is refused stops no other.

        Returns:
            The jobs that were created, and for the others which and why.
        """
        return await bulk.submit_all(self.jobs, new, parallel=parallel)

    async def why(self, name: str, namespace: str | None = None) -> waits.Why:
        """Say why a job is where it is: what it waits for, its place in line, what would help."""
        return await waits.why(self.jobs, name, namespace)

    async def health(self) -> Health:
        """Look at everything between here and the jobs."""
        return await self.stats.health()

    async def namespaces(self) -> list[str]:
        """Return the names of the cluster's namespaces.

        Raises:
            ForbiddenError: who asks may not see them.
        """
        answer = await self._transport.call("GET", "/api/v1/namespaces", params={"limit": "1000"})
        return [item["metadata"]["name"] for item in answer.get("items") or ()]
