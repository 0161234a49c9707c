"""What every command shares: the flags that say where the cluster is, a client, and errors that become exit codes."""

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from crawl_cli import complete, exits
from crawl_client.client import CrawlClient
from crawl_client.errors import AppError, ConfigurationError

Work = Callable[..., Awaitable[int]]

_PANEL: Final = "Cluster"


@dataclass(frozen=True)
class Session:
    """An open client, and what was said of where."""

    client: CrawlClient
    everywhere: bool = False

    @property
    def namespace(self) -> str:
        """The namespace meant by a list: "" for all of them."""
        return "" if self.everywhere else self.client.namespace


_COMMON: Final[dict[str, tuple[Any, Any]]] = {
    "namespace": (
        Annotated[
            str | None,
            typer.Option(
                "--namespace",
                "-n",
                help="Namespace; the context's if not given.",
                rich_help_panel=_PANEL,
                autocompletion=complete.namespaces,
            ),
        ],
        None,
    ),
    "context": (
        Annotated[
            str | None,
            typer.Option(
                help="Context of the kubeconfig.", rich_help_panel=_PANEL, autocompletion=complete.kube_contexts
            ),
        ],
        None,
    ),
    "kubeconfig": (
        Annotated[Path | None, typer.Option(help="Kubeconfig file.", rich_help_panel=_PANEL)],
        None,
    ),
    "server": (Annotated[str | None, typer.Option(help="URL of the API server.", rich_help_panel=_PANEL)], None),
    "token": (Annotated[str | None, typer.Option(help="Bearer token.", rich_help_panel=_PANEL)], None),
    "request_timeout": (
        Annotated[float, typer.Option(help="Seconds for one request.", min=0.1, rich_help_panel=_PANEL)],
        30.0,
    ),
}
_EVERYWHERE: Final = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="All namespaces.", rich_help_panel=_PANEL)
]
_OF_RESULTS: Final[dict[str, tuple[Any, Any]]] = {
    "results_url": (
        Annotated[
            str | None,
            typer.Option(
                help="Where the operator hands out results: https://HOST, or service://NAMESPACE/NAME:PORT, which "
                "kubectl port-forward reaches; $CRAWL_RESULTS_URL if not given.",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "results_token": (
        Annotated[
            str | None,
            typer.Option(help="Bearer token for that alone; $CRAWL_RESULTS_TOKEN.", rich_help_panel=_PANEL),
        ],
        None,
    ),
}


def command(
    app: typer.Typer, name: str, *aliases: str, everywhere: bool = False, stored: bool = False, **options: Any
) -> Callable[[Work], Work]:
    """Make a command of a coroutine function whose first parameter is the session; what it returns is the exit code.

    Args:
        app: where it belongs.
        name: what it is called.
        *aliases: other names, which help does not list.
        everywhere: whether it takes -A.
        stored: whether it reads what the operator's store holds.
        **options: for typer.
    """

    def register(work: Work) -> Work:
        common = _COMMON | (_OF_RESULTS if stored else {})
        common |= {"all_namespaces": (_EVERYWHERE, False)} if everywhere else {}
        own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        kind = inspect.Parameter.KEYWORD_ONLY
        added = [inspect.Parameter(key, kind, default=default, annotation=a) for key, (a, default) in common.items()]
        parameters = [parameter.replace(kind=kind) for parameter in own] + added

        @functools.wraps(work)
        def run(**given: Any) -> None:
            where = {key: given.pop(key) for key in common}
            raise typer.Exit(perform(functools.partial(work, **given), **where))

        del run.__wrapped__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, **options)(run)
        for alias in aliases:
            app.command(alias, hidden=True, **options)(run)
        return work

    return register


def perform(
    work: Callable[[Session], Awaitable[int]],
    *,
    all_namespaces: bool = False,
    request_timeout: float = 30,
    **where: Any,
) -> int:
    """Run a command's work with a client and return the exit code."""

    async def whole() -> int:
        # A person waits: one more try and no more, or an outage would look like a slow answer.
        async with CrawlClient(timeout=request_timeout, retries=2, **where) as client:
            return await work(Session(client, everywhere=all_namespaces))

    try:
        return asyncio.run(whole())
    except AppError as error:
        return exits.report(error)
    except BrokenPipeError:
        # Whoever read has enough, as `head` does; nothing may complain when the stream is closed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except OSError as error:
        return exits.report(ConfigurationError(str(error)))
