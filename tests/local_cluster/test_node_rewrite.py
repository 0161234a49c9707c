"""The one rule by which mount paths become real paths."""

from pathlib import Path

import pytest

from local_cluster.node.rewrite import Mounts

MOUNTS = Mounts(
    {
        "/data": Path("/real/data"),
        "/data/nested/": Path("/real/nested"),
        "/scratch": Path("/real/scratch"),
        "/dev/termination-log": Path("/real/message"),
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data", "/real/data"),
        ("/data/", "/real/data/"),
        ("/data/a/b.txt", "/real/data/a/b.txt"),
        ("/data/nested", "/real/nested"),
        ("/data/nested/x", "/real/nested/x"),
        ("/data/nestedmore", "/real/data/nestedmore"),
        ("--dir=/data/in", "--dir=/real/data/in"),
        ("/usr/lib:/data:/scratch/x", "/usr/lib:/real/data:/real/scratch/x"),
        ("cat /data/x > /scratch/y; echo '/data'", "cat /real/data/x > /real/scratch/y; echo '/real/data'"),
        ("echo done >/dev/termination-log", "echo done >/real/message"),
        ('{"dir": "/data"}', '{"dir": "/real/data"}'),
        ("file:///data/x", "file:///real/data/x"),
        ("/data /data", "/real/data /real/data"),
        # what must stay
        ("/database", "/database"),
        ("/srv/data", "/srv/data"),
        ("data/x", "data/x"),
        ("http://host/data/x", "http://host/data/x"),
        ("s3://data/x", "s3://data/x"),
        ("/data-2/x", "/data-2/x"),
        ("/data.old", "/data.old"),
        ("", ""),
    ],
)
def test_mount_paths_are_replaced_where_they_stand_as_paths(value: str, expected: str) -> None:
    assert MOUNTS.rewrite(value) == expected


def test_a_real_path_is_not_rewritten_again() -> None:
    """The real place of one mount may begin with the mount path of another."""
    mounts = Mounts({"/data": Path("/scratch/pods/data"), "/scratch": Path("/real/scratch")})
    assert mounts.rewrite("/data/x /scratch/y") == "/scratch/pods/data/x /real/scratch/y"


def test_without_mounts_nothing_changes() -> None:
    assert Mounts({}).rewrite("/data") == "/data"


def test_a_program_can_ask_for_the_real_paths() -> None:
    assert Mounts({"/data/": Path("/r")}).as_json() == '{"/data": "/r"}'
    assert MOUNTS.real("/scratch/") == Path("/real/scratch")
    assert MOUNTS.real("/etc") is None
