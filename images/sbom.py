"""Write an image's bill of materials to standard output, as CycloneDX: Python distributions and Debian packages.

Runs inside the image's own environment while it is built, with nothing but the standard library. The same content gives
the same document: no time of day, and a serial number that follows from the rest.
"""

import json
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

DPKG_STATUS = Path("/var/lib/dpkg/status")


def main() -> None:
    """Take the image's name and version as arguments."""
    name, version = sys.argv[1:]
    components = sorted([*python_packages(), *debian_packages()], key=lambda each: str(each["bom-ref"]))
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name, "version": version}},
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": [each["bom-ref"] for each in components]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(document, sort_keys=True))
    json.dump({**document, "serialNumber": f"urn:uuid:{serial}"}, sys.stdout, indent=1, sort_keys=True)


def python_packages() -> Iterator[dict[str, Any]]:
    """Yield what is installed in this environment."""
    for each in distributions():
        name = each.metadata["Name"]
        found = component(name, each.version, f"pkg:pypi/{name.lower().replace('_', '-')}@{each.version}")
        if spoken := each.metadata.get("License-Expression"):
            found["licenses"] = [{"expression": spoken}]
        yield found


def debian_packages() -> Iterator[dict[str, Any]]:
    """Yield what the base image consists of, where it is made of Debian packages."""
    if not DPKG_STATUS.exists():
        return
    for paragraph in DPKG_STATUS.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            yield component(name, version, f"pkg:deb/debian/{name}@{version}?arch={fields['Architecture']}")


def component(name: str, version: str, url: str) -> dict[str, Any]:
    """Return a component under its package URL."""
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


if __name__ == "__main__":
    main()
