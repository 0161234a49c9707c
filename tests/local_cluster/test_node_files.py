"""Files the node writes for pods and readers: volumes that change at once, and logs."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from local_cluster.node import atomic, logs
from local_cluster.node.atomic import File
from local_cluster.node.k8s import Json, utc_now
from local_cluster.node.logs import LogWriter, Options
from local_cluster.node.termination import message_of
from local_cluster.node.volumes import MountError, select


def test_files_change_all_at_once_and_leave_nothing_behind(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o600)})
    held = (tmp_path / "..data").resolve()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "sub" / "b").read_bytes() == b"2"
    assert (tmp_path / "sub" / "b").stat().st_mode & 0o777 == 0o600

    atomic.write(tmp_path, {"c": File(b"3", 0o644), "a": File(b"4", 0o644)})
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..")) == ["a", "c"]
    assert (tmp_path / "a").read_bytes() == b"4"
    assert not held.exists()

    atomic.write(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith("..")] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, {"k": File(b"v", 0o644), "l": File(b"w", 0o644)}),
        ({"items": [{"key": "k", "path": "d/x", "mode": 0o400}]}, {"d/x": File(b"v", 0o400)}),
        ({"items": [{"key": "absent", "path": "x"}], "optional": True}, {}),
    ],
)
def test_keys_become_files(source: Json, expected: dict[str, File]) -> None:
    assert select("secret", {"name": "s", **source}, {"k": b"v", "l": b"w"}, 0o644) == expected


def test_missing_objects_and_keys_are_named() -> None:
    with pytest.raises(MountError, match='configmap "c" not found'):
        select("configmap", {"name": "c"}, None, 0o644)
    with pytest.raises(MountError, match="non-existent config key: absent"):
        select("configmap", {"name": "c", "items": [{"key": "absent", "path": "x"}]}, {}, 0o644)
    assert select("configmap", {"name": "c", "optional": True}, None, 0o644) == {}


async def text(path: Path, options: Options, writer: LogWriter | None = None) -> bytes:
    return b"".join([chunk async for chunk in logs.read(path, writer, options)])


async def test_a_log_shows_what_was_written(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "1.log")
    writer.feed("stdout", b"one\ntw")
    writer.feed("stderr", b"err\n")
    writer.feed("stdout", b"o\n\nlast")
    writer.close()
    assert await text(writer.path, Options()) == b"one\nerr\ntwo\n\nlast"
    assert await text(writer.path, Options(streams=frozenset({"stderr"}))) == b"err\n"
    assert await text(writer.path, Options(limit_bytes=6)) == b"one\ner"
    stamped = await text(writer.path, Options(timestamps=True, tail=2))
    assert [line.split(b" ")[1:] for line in stamped.splitlines()] == [[b""], [b"last"]]
    assert await text(writer.path, Options(since=utc_now() + timedelta(seconds=5))) == b""


@pytest.mark.parametrize("tail", [0, 1, 2, 999, 1000, 5000])
async def test_the_tail_of_a_log(tmp_path: Path, tail: int) -> None:
    """The wanted lines may begin in the file before, or not at all."""
    writer = LogWriter(tmp_path / "1.log", max_bytes=40_000)
    lines = [b"line %d\n" % number for number in range(1000)]
    for line in lines:
        writer.feed("stdout", line)
    writer.close()
    assert logs.predecessor(writer.path).exists()
    shown = (await text(writer.path, Options(tail=tail))).splitlines(keepends=True)
    assert shown == (lines[-tail:] if tail else [])


def test_a_log_is_bounded(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "1.log", max_bytes=50_000)
    for _ in range(100):
        writer.feed("stdout", b"x" * 9_999 + b"\n")
    writer.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 100_000


async def test_a_line_without_end_is_bounded_and_read_as_one(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "1.log")
    writer.feed("stdout", b"x" * 100_000)
    writer.feed("stdout", b"y\n")
    writer.close()
    assert await text(writer.path, Options()) == b"x" * 100_000 + b"y\n"


async def test_reading_ends_although_the_writer_is_faster(tmp_path: Path) -> None:
    """Who does not follow gets what there was when the reading began."""
    writer = LogWriter(tmp_path / "1.log", max_bytes=5_000)
    shown, number = b"", 0
    for number in range(100):
        writer.feed("stdout", b"line %d\n" % number)
    async for chunk in logs.read(writer.path, writer, Options()):
        shown += chunk
        for number in range(number + 1, number + 150):  # noqa: B020 - counts on
            writer.feed("stdout", b"line %d\n" % number)
    assert b"line 99\n" in shown
    assert len(shown.splitlines()) < 1000


async def test_a_follower_sees_all_through_rotation_and_ends_with_the_log(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "1.log", max_bytes=20_000)
    following = asyncio.create_task(text(writer.path, Options(follow=True), writer))
    lines = [b"line %d\n" % number for number in range(2000)]
    for line in lines:
        writer.feed("stdout", line)
        await asyncio.sleep(0)
    writer.close()
    async with asyncio.timeout(5):
        assert (await following).splitlines(keepends=True) == lines


async def test_the_termination_message_is_the_end_of_the_file_or_of_the_log(tmp_path: Path) -> None:
    message, log = tmp_path / "message", tmp_path / "1.log"
    writer = LogWriter(log)
    writer.feed("stderr", b"".join(b"line %d\n" % number for number in range(200)))
    writer.close()
    message.write_bytes(b"")
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert message_of({}, message, log, failed=True) == ""
    assert message_of(fallback, message, log, failed=False) == ""
    shown = message_of(fallback, message, log, failed=True).splitlines()
    assert shown == [f"line {number}" for number in range(120, 200)]
    message.write_bytes(b"x" * 5000 + b"end")
    assert message_of(fallback, message, log, failed=True) == ("x" * 5000 + "end")[-4096:]
