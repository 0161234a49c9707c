"""Programs are built once, never by halves, and a build that cannot work says what is missing."""

import dataclasses
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local_cluster import LocalClusterError, build, toolchain
from local_cluster.build import KUBERNETES, Program

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="builds a small program with the Go on PATH")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own; Go's is left where it is, to save time."""
    go_cache = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", go_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small(tmp_path: Path) -> Program:
    """A program that is built in a moment."""
    source = tmp_path / "small"
    source.mkdir()
    (source / "go.mod").write_text("module small\n\ngo 1.20\n\n//\texample.com/small v1.2.3\n")
    (source / "go.sum").write_text("")
    (source / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')
    return dataclasses.replace(
        KUBERNETES,
        name="small",
        source=source,
        versioned_by="//\texample.com/small",
        commands=("greet",),
        gigabytes=0.1,
    )


def test_a_change_of_any_source_changes_the_key(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(KUBERNETES.source, tmp_path / "go"))
    assert dataclasses.replace(KUBERNETES, source=copy).key == KUBERNETES.key
    for file in ("main.go", "go.mod", "go.sum"):
        before = dataclasses.replace(KUBERNETES, source=copy).key
        with (copy / file).open("a") as source:
            source.write("\n")
        assert dataclasses.replace(KUBERNETES, source=copy).key != before


def test_the_version_comes_from_what_is_pinned() -> None:
    assert KUBERNETES.version.startswith("v1.")
    assert f"gitVersion={KUBERNETES.version}" in KUBERNETES.flags[-1]


@needs_go
def test_builds_once_and_under_all_its_names(cache: Path, small: Program, capfd: pytest.CaptureFixture[str]) -> None:
    folder = build.ensure(small)
    assert cache in folder.parents
    run = subprocess.run([folder / "greet"], capture_output=True, text=True, check=True)
    assert run.stderr == "hello\n"
    told = capfd.readouterr().err
    assert "about 8 minutes" in told
    assert "GB of disk" in told

    assert build.ensure(small) == folder
    assert not capfd.readouterr().err


@needs_go
def test_what_a_killed_build_left_is_removed(cache: Path, small: Program) -> None:
    leftover = cache / "crawl-operator" / "programs" / "small" / "abc.building"
    (leftover / "half").mkdir(parents=True)
    folder = build.ensure(small)
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted([small.key, "lock"])


@needs_go
def test_a_program_that_does_not_compile_is_reported_in_one_line(cache: Path, small: Program) -> None:
    (small.source / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(LocalClusterError, match=r"undefined: nonsense") as failure:
        build.ensure(small)
    assert "\n" not in str(failure.value)
    assert not list(cache.glob("crawl-operator/programs/small/*/*"))


@needs_go
def test_a_missing_network_is_named(
    cache: Path, small: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    with (small.source / "go.mod").open("a") as file:
        file.write("require example.com/nowhere v1.0.0\n")
    (small.source / "go.sum").write_text(
        "example.com/nowhere v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        "example.com/nowhere v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )
    (small.source / "main.go").write_text('package main\n\nimport _ "example.com/nowhere"\n\nfunc main() {}\n')
    with pytest.raises(LocalClusterError, match="check the network, or set GOPROXY"):
        build.ensure(small)


@needs_go
def test_a_full_disk_is_named_before_the_build(cache: Path, small: Program) -> None:
    with pytest.raises(LocalClusterError, match="make room, or set XDG_CACHE_HOME"):
        build.ensure(dataclasses.replace(small, gigabytes=1e9))


@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null"])
def test_a_cache_that_cannot_be_written_is_named(where: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "local_cluster", "build"],
        env=os.environ | {"XDG_CACHE_HOME": where},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"local cluster: error: cannot write to {where}")
    assert "set XDG_CACHE_HOME" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.26.8\n")
    go.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = toolchain.find((1, 26, 0))
    assert found is not None
    assert found.go == go
    assert toolchain.find((1, 27, 0)) is None


@needs_go
def test_two_processes_build_once(cache: Path, small: Program) -> None:
    script = textwrap.dedent(f"""
        import dataclasses
        from pathlib import Path
        from local_cluster import build
        print(build.ensure(dataclasses.replace(
            build.KUBERNETES, name="small", source=Path({str(small.source)!r}), gigabytes=0.1,
            versioned_by={small.versioned_by!r}, commands=("greet",),
        )))
    """)
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert len({folder for folder, _ in said}) == 1
    assert sum("built small" in progress for _, progress in said) == 1
