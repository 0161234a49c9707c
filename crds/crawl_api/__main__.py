"""`python -m crawl_api`: write the CRDs into a folder, or check that those kept there are what the models say."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from crawl_api.crd import crawljob_crd, schedule_crd
from crawl_api.names import PLURAL, SCHEDULE_PLURAL

DEFINITIONS: Final = {f"{PLURAL}.yaml": crawljob_crd, f"{SCHEDULE_PLURAL}.yaml": schedule_crd}


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors: people and tools read this file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(definition: dict[str, Any]) -> str:
    """Return a definition as YAML."""
    header = "# Generated from the models in crds/crawl_api by `make generate`; edit those.\n"
    body = yaml.dump(definition, Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)
    return header + str(body)


def main() -> int:
    """Return 0 when the files are up to date (or now are), 1 when `--check` finds drift."""
    parser = argparse.ArgumentParser(prog="python -m crawl_api", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("crds"), help="where the YAML lies (crds)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    options = parser.parse_args()
    drift = 0
    for name, definition in DEFINITIONS.items():
        path: Path = options.folder / name
        wanted = render(definition())
        if path.is_file() and path.read_text() == wanted:
            continue
        if options.check:
            sys.stderr.write(f"{path} does not match the models: run `make generate` and commit the result\n")
            drift = 1
        else:
            path.write_text(wanted)
            sys.stdout.write(f"wrote {path}\n")
    return drift


if __name__ == "__main__":
    sys.exit(main())
