"""A machine that can have no real node says what it lacks, at once and by exit status."""

import os
import shutil
import subprocess
import sys

import pytest


def said(*reduced: str) -> tuple[int, list[str]]:
    """Ask with fewer rights than these tests have."""
    setpriv = ("setpriv", *reduced) if reduced else ()
    command = (*setpriv, sys.executable, "-m", "local_cluster.real")
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return result.returncode, result.stdout.splitlines()


def test_a_real_node_needs_root() -> None:
    assert said(*(() if os.geteuid() else ("--reuid=65534", "--clear-groups"))) == (1, ["root"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up its capabilities")
def test_root_in_a_sealed_container_is_told_what_its_kernel_does_not_allow() -> None:
    code, lacking = said("--inh-caps=-all", "--bounding-set=-all")
    assert code == 1
    if shutil.which("buildah") and shutil.which("runc"):  # packages are asked for first
        assert "a kernel that allows network namespaces" in lacking
