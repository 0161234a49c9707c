"""Commands that need no cluster: explain, schema, init, migrate, completion."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from crawl_cli import exits, shells
from crawl_cli.exits import Refused
from crawl_cli.output import as_json, as_yaml, note, say
from crawl_client.errors import AppError

To = Annotated[Path | None, typer.Option("--to", help="File to write; standard output if not given.")]


def _fields(incomplete: str) -> list[str]:
    from crawl_cli import schemas

    return schemas.complete(incomplete)


def explain(
    path: Annotated[str, typer.Argument(metavar="[FIELD]", autocompletion=_fields)] = "crawljob",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Name all fields below it too.")] = False,
) -> None:
    """Describe a field of a manifest, such as spec.fetch or schedule.spec.schedule."""
    from crawl_cli import schemas

    _perform(lambda: say(schemas.explained(path, recursive=recursive)))


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="single, batch, site, pdf or custom; with --catalogue a processor."),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or yaml.")] = "table",
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Processors of an image: what `python -m crawl_worker --catalogue` prints in it, or the results of a "
            "list_processors job; - reads standard input.",
        ),
    ] = None,
) -> None:
    """Show what a job type or a processor is told: its parameters, their types, bounds and defaults."""
    from crawl_cli import catalogues, schemas

    def work() -> None:
        entries = catalogues.read(catalogue) if catalogue is not None else {}
        if kind is None:
            told = [(name, each.get("description", "")) for name, each in entries.items()]
            for name, meaning in schemas.types() if catalogue is None else told:
                say(f"{name:<8}  {meaning}")
            return
        if catalogue is None:
            found = schemas.of_type(kind)
            text = schemas.explained(f"spec.{kind.lower()}")
        else:
            entry = catalogues.of_name(entries, kind)
            found = entry["parameters"]
            text = schemas.described(kind, {"description": entry.get("description", ""), **found})
        if output == "table":
            say(text)
        elif output in {"json", "yaml"}:
            say(as_json(found) if output == "json" else as_yaml(found).rstrip())
        else:
            raise Refused(f"-o {output} is none of table, json, yaml")

    _perform(work)


def init(
    kind: Annotated[
        str, typer.Argument(metavar="[TYPE]", help="single, batch, site, pdf, custom or schedule.")
    ] = "single",
    name: Annotated[str, typer.Option(help="The job's name.")] = "my-crawl",
    to: To = None,
) -> None:
    """Write a manifest with every field, described, at its default and commented out."""
    from crawl_cli import schemas

    _perform(lambda: _write(schemas.manifest(kind, name), to))


def migrate_scrapyd(
    project: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The project's folder, with its scrapy.cfg.")
    ] = Path(),
    image: Annotated[str, typer.Option(help="Worker image that has the project.")] = "",
    to: To = None,
) -> None:
    """Write a CrawlJob for each spider of a project that scrapyd runs, and how to build its worker image."""
    from crawl_cli import scrapyd

    def work() -> None:
        text, remarks = scrapyd.migrated(project, image)
        _write(text, to)
        for remark in remarks:
            note(remark)

    _perform(work)


def completion(shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash or zsh.")]) -> None:
    """Print what a shell needs to complete crawl-operator, live names too: source it in its start-up file."""
    _perform(lambda: say(shells.script(shell)))


def _write(text: str, file: Path | None) -> None:
    if file is None:
        say(text.rstrip())
    elif file.exists():
        raise Refused(f"{file} is there already; name another with --to")
    else:
        file.write_text(text, encoding="utf-8")
        note(f"wrote {file}")


def _perform(work: Any) -> None:
    try:
        work()
    except AppError as error:
        raise typer.Exit(exits.report(error)) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(0) from None
    except OSError as error:
        raise typer.Exit(exits.report(Refused(str(error)))) from None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("explain")(explain)
    app.command("schema")(schema)
    app.command("init")(init)
    app.command("completion")(completion)
    group = typer.Typer(help="Take over what other systems run.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("scrapyd")(migrate_scrapyd)
    app.add_typer(group, name="migrate")
