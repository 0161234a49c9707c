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


def require_namespaces() -> None:
    """Where there are no network namespaces, skip the test with the reason, or fail it if this is CI."""
    if missing := [program for program in ("unshare", "ip", "mount") if shutil.which(program) is None]:
        why = f"{' and '.join(missing)} not on PATH"
    else:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return
        why = tried.stderr.strip() or f"unshare ended with code {tried.returncode}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must have network namespaces: {why}")
    pytest.skip(f"no network namespaces: {why}")


@pytest.mark.parametrize(("ci", "told"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_machine_without_namespaces_is_a_failure_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, told: type[BaseException]
) -> None:
    """The one test of what is never connected to must not vanish there unseen."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(told, match="unshare and ip and mount not on PATH"):
        require_namespaces()
    for program in (tmp_path / name for name in ("unshare", "ip", "mount")):
        program.write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
        program.chmod(0o755)
    with pytest.raises(told, match="network namespaces: not permitted"):
        require_namespaces()


def test_no_connection_leads_inside() -> None:
    """As pages that are asked for, redirected to, linked, listed, canonical or read for robots.txt; by every name."""
    require_namespaces()
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
