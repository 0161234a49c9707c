"""Results as jobs and the operator's store hold them; nothing else is read, whatever a status names."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from crawl_client.downloads import Downloads
from crawl_client.errors import APIError, AuthenticationError, ForbiddenError, ResultUnavailableError, ValidationError
from crawl_client.jobs import Jobs
from crawl_client.reading import records_of
from crawl_client.results import Result, Results
from crawl_client.transport import Transport
from crawl_gateway.errors import refused


class Stored:
    """Results.

    A file of this machine, or a bucket with the gateway's credentials, is never read: whoever writes a status could
    have it read anything. The operator finds the file by the job's name alone.

    Args:
        transport: to the API server.
        jobs: whose results.
        url: where the operator hands them out; empty: nowhere.
    """

    def __init__(self, transport: Transport, jobs: Jobs, url: str) -> None:
        self._handed_out = bool(url)
        self._downloads = Downloads(transport, url)
        self._results = Results(jobs, self._downloads)

    async def aclose(self) -> None:
        """Close the connection to the operator."""
        await self._downloads.aclose()

    async def get(self, name: str, namespace: str) -> Result:
        """Return what a job came to.

        Raises:
            ResultUnavailableError: it has not ended, or made nothing, or its result's time is over.
        """
        return await self._results.get(name, namespace)

    async def records(self, result: Result) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the records of a result, as they are read.

        Raises:
            ResultUnavailableError: they are not to be had here.
            ValidationError: it is a WARC file, which holds none, or a Parquet file, which is read as a whole.
        """
        if isinstance(result.data, list):
            for record in result.data:
                yield record
            return
        if ".warc" in result.file or result.file.endswith(".parquet"):
            raise ValidationError([f"{result.file} is not passed on record by record; read the file"])
        async for record in records_of(self.file(result), result.file):
            yield record

    async def file(self, result: Result) -> AsyncIterator[bytes]:
        """Yield the file of a result, as it is stored.

        Raises:
            ResultUnavailableError: it is not to be had here.
        """
        if not self._handed_out or not result.url.startswith("file:"):
            where = result.url or "the job itself, and nowhere else"
            if where.startswith("file:"):
                where += ", which the gateway cannot read while its setting resultsUrl is empty"
            raise ResultUnavailableError(f"the result lies in {where}", 404, reason="Elsewhere")
        part = self._downloads.part(result.namespace, result.job, result.file, size=result.bytes, sha256=result.sha256)
        try:
            async for chunk in part:
                yield chunk
        except (ForbiddenError, AuthenticationError) as error:
            text = "the operator does not let the gateway read results: see the rights of both"
            raise refused(502, "GatewayForbidden", text) from error
        except ResultUnavailableError:
            raise
        except APIError as error:
            raise refused(
                503, "ServiceUnavailable", "the operator does not hand out results now", retry_after=5
            ) from error
