"""Start: `kubectl crawl …`, `crawl-operator …`, `python -m crawl_cli …`."""

import importlib
import sys
from importlib.metadata import entry_points, version
from typing import Annotated, Final

import typer
from typer._completion_classes import completion_init

from crawl_cli.output import note, say

PLUGINS: Final = "crawl_cli.commands"
"""Entry points of this group are called with the application, to which they add commands."""

_ROOMS: Final = ("submit", "jobs", "levers", "results", "schedules", "deadletters", "numbers", "top", "reference")


def application() -> typer.Typer:
    """Return the whole program, plug-ins included."""
    app = typer.Typer(
        name="kubectl-crawl",
        help="Crawls on Kubernetes.",
        no_args_is_help=True,
        add_completion=False,  # the command `completion` prints what a shell needs
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    completion_init()  # typer does so only where it adds flags of its own
    for room in _ROOMS:
        importlib.import_module(f"crawl_cli.{room}").register(app)
    for point in entry_points(group=PLUGINS):
        try:
            point.load()(app)
        except Exception as error:  # noqa: BLE001 - whatever a plug-in does, the others work
            note(f"warning: the plug-in {point.name!r} ({point.value}) cannot be used: {error}")
    return app


def _version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        say(f"crawl-operator {version('crawl-operator')}")
        raise typer.Exit


def _root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Take what stands before the command."""


def main() -> None:
    """Run the program named in the command line."""
    name = "kubectl crawl" if sys.argv[0].endswith("kubectl-crawl") else "crawl-operator"
    application()(_lines_of_logs(sys.argv[1:]), prog_name=name)


def _lines_of_logs(words: list[str]) -> list[str]:
    """Let `logs JOB -n 100` mean lines, as with `tail`; a namespace of digits alone goes by `--namespace`."""
    if words[:1] != ["logs"]:
        return words
    return [
        "--tail" if word == "-n" and after.isdigit() else word
        for word, after in zip(words, [*words[1:], ""], strict=True)
    ]


if __name__ == "__main__":
    main()
