"""Addresses inside are not connected to, however they are named: counted by sockets that listen on them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sealed_network
from sealed_network import INNER, targets

UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")


def namespaces() -> bool:
    programs = all(shutil.which(program) for program in ("unshare", "ip", "mount"))
    return programs and subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def test_no_connection_leads_inside() -> None:
    """As pages that are asked for, redirected to, linked, listed, canonical or read for robots.txt; by every name."""
    if not namespaces():
        pytest.skip("needs network namespaces, unshare, ip and mount")
    paths = [str(Path(sealed_network.__file__).parent), *sys.path]
    ran = subprocess.run(
        [*UNSHARE, sys.executable, sealed_network.__file__],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert len(told["open"]) > len(INNER) / 2, "most inner addresses can be connected to, so a connection would be seen"
    assert told["counted"] >= len(told["open"])
    assert told["reached"] == []
    crawls = told["crawls"]
    refused = {"AddressRefused", "InvalidURL"}
    assert set(crawls["direct"]["told"]) == set(targets())
    for name in ("direct", "redirected", "pdf"):
        assert {url: code for url, code in crawls[name]["told"].items() if code not in refused} == {}
        assert len(crawls[name]["told"]) == len(targets())
    for name in ("site", "copy"):
        assert crawls[name]["told"].pop("http://good.example/") is None
        assert set(crawls[name]["told"].values()) == {"AddressRefused"}
    assert len(crawls["site"]["told"]) > len(INNER)
    assert "http://10.0.0.1/secret" in crawls["copy"]["told"], "where the page says that its original is"
    assert crawls["robots"]["told"] == {"http://robots.example/page": "AddressRefused"}
    assert set(crawls["rebinding"]["told"].values()) == {None}, "one look-up holds for the crawl"
    assert told["asked"]["rebinding.example"] == 1
    assert not [served for served in told["served"] if "secret" in served]
