"""The embedded result store, on a real folder."""

import hashlib
import json
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from operator_cases import outcome_of

from crawl_operator.decide.model import JobKey
from crawl_operator.results import ResultStore, StoreFullError, TooLargeError

KEY = JobKey("team", "news")
PLACE = ("team", "news", "uid", "pod")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(folder: Path) -> ResultStore:
    return ResultStore(folder, max_bytes=3 << 20, inline_limit=100)


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_what_was_sent_is_what_is_stored(store: ResultStore, folder: Path) -> None:
    chunks = [b'{"url":"https://example.org/"}\n', b"", "Grüße\n".encode()]
    stored = await store.save_results(KEY, "uid", "pod", sent(*chunks), "results.jsonl")
    content = b"".join(chunks)
    path = folder.joinpath(*PLACE, "results.jsonl")
    assert path.read_bytes() == content
    assert stored.url == path.as_uri()
    assert stored.bytes == len(content)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()


async def test_a_result_may_be_empty(store: ResultStore) -> None:
    """Every page failed: there are no records, and that is known, not missing."""
    stored = await store.save_results(KEY, "uid", "pod", sent(), "results.jsonl")
    assert stored.bytes == 0
    assert stored.sha256 == hashlib.sha256(b"").hexdigest()


async def test_nothing_is_visible_before_all_of_it_has_arrived(store: ResultStore, folder: Path) -> None:
    """More than one part of an upload, so that something is on disk while the rest is still to come."""

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * (1 << 19)
            assert "results.jsonl" not in {Path(name).name for name in files(folder)}

    await store.save_results(KEY, "uid", "pod", slowly(), "results.jsonl")
    assert files(folder) == ["team/news/uid/pod/results.jsonl"]


async def test_a_broken_stream_leaves_nothing(store: ResultStore, folder: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 << 20)
        raise ConnectionResetError("the worker is gone")

    with pytest.raises(Exception, match="the worker is gone"):
        await store.save_results(KEY, "uid", "pod", broken(), "results.jsonl")
    assert files(folder) == []


async def test_a_broken_stream_takes_nothing_away(store: ResultStore, folder: Path) -> None:
    """A worker sends its result again and fails: the first one stays whole."""
    await store.save_results(KEY, "uid", "pod", sent(b"first"), "results.jsonl")

    async def broken() -> AsyncIterator[bytes]:
        yield b"second"
        raise ConnectionResetError("the worker is gone")

    with pytest.raises(Exception, match="the worker is gone"):
        await store.save_results(KEY, "uid", "pod", broken(), "results.jsonl")
    assert folder.joinpath(*PLACE, "results.jsonl").read_bytes() == b"first"


async def test_sent_again_it_replaces_what_was_there(store: ResultStore, folder: Path) -> None:
    for text in (b"first, and longer", b"second"):
        await store.save_results(KEY, "uid", "pod", sent(text), "results.jsonl")
    assert folder.joinpath(*PLACE, "results.jsonl").read_bytes() == b"second"


async def test_too_much_is_refused_and_leaves_nothing(store: ResultStore, folder: Path) -> None:
    """It is the sum that counts, and the limit itself is still allowed."""
    with pytest.raises(TooLargeError, match=r"more than 3145728 bytes \(results.maxBytes\)"):
        await store.save_results(KEY, "uid", "pod", sent(*[b"x" * (1 << 20)] * 3, b"x"), "results.jsonl")
    assert files(folder) == []
    assert (
        await store.save_results(KEY, "uid", "pod", sent(*[b"x" * (1 << 20)] * 3), "results.jsonl")
    ).bytes == 3 << 20


async def test_jobs_namesakes_and_pods_have_places_of_their_own(store: ResultStore, folder: Path) -> None:
    for key, uid, pod in (
        (KEY, "uid", "pod"),
        (KEY, "uid", "pod2"),
        (KEY, "uid2", "pod"),
        (JobKey("other", "news"), "uid", "pod"),
    ):
        await store.save_results(key, uid, pod, sent(f"{key}{uid}{pod}".encode()), "results.jsonl")
    assert len(files(folder)) == 4


async def test_an_outcome_comes_back(store: ResultStore) -> None:
    outcome = outcome_of(3, 2, data=[{"title": "Ü"}])
    assert await store.outcome(KEY, "uid", "pod") is None
    await store.save_outcome(KEY, "uid", "pod", outcome)
    assert await store.outcome(KEY, "uid", "pod") == outcome
    assert await store.outcome(KEY, "uid", "another-pod") is None


@pytest.mark.parametrize(("size", "inline"), [(98, True), (99, False)])
async def test_data_beyond_the_inline_limit_is_left_out(store: ResultStore, size: int, inline: bool) -> None:  # noqa: FBT001 - a column
    """The limit is the operator's, whatever the worker was told; in bytes, not characters."""
    data = "ü" * (size // 2) + "x" * (size % 2)
    assert (len(json.dumps(data, ensure_ascii=False).encode()) <= 100) is inline
    await store.save_outcome(KEY, "uid", "pod", outcome_of(1, 1, data=data))
    outcome = await store.outcome(KEY, "uid", "pod")
    assert outcome is not None
    assert outcome.data == (data if inline else None)
    assert outcome.succeeded == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"total": -1}'])
async def test_an_outcome_that_makes_no_sense_is_none(store: ResultStore, folder: Path, content: bytes) -> None:
    path = folder.joinpath(*PLACE, "outcome.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert await store.outcome(KEY, "uid", "pod") is None


@pytest.mark.parametrize("name", ["..", "../../..", "a/../../../../b", ".", "/etc"])
async def test_no_name_leads_out_of_the_folder(store: ResultStore, folder: Path, name: str) -> None:
    """Names come from the API server, which lets none of these through; the store does not depend on it."""
    for write in (
        store.save_results(KEY, name, "pod", sent(b"x"), "results.jsonl"),
        store.save_results(KEY, "uid", name, sent(b"x"), "results.jsonl"),
        store.save_outcome(JobKey(name, name), name, name, outcome_of(1, 1)),
    ):
        with pytest.raises(ValueError, match="Could not parse path"):
            await write
    assert files(folder.parent) == []


async def test_a_folder_that_cannot_be_written_says_so(store: ResultStore, folder: Path) -> None:
    """A file stands where the folder was: what an unmounted or foreign volume comes to, for any user."""
    shutil.rmtree(folder)
    folder.write_text("not a folder")  # noqa: ASYNC240 - a test's own, tiny file
    for save in (
        store.save_results(KEY, "uid", "pod", sent(b"x"), "results.jsonl"),
        store.save_outcome(KEY, "uid", "pod", outcome_of(1, 1)),
    ):
        with pytest.raises(StoreFullError, match=r"^the result store cannot be written: .*Not a directory"):
            await save
    assert await store.outcome(KEY, "uid", "pod") is None


@pytest.fixture
def little_space() -> Iterator[None]:
    """Writes beyond 1 MiB of a file fail, as on a full volume."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("little_space")
async def test_a_full_folder_says_so_and_keeps_no_half(store: ResultStore, folder: Path) -> None:
    with pytest.raises(StoreFullError, match=r"^the result store cannot be written: .*File too large"):
        await store.save_results(KEY, "uid", "pod", sent(*[b"x" * (1 << 20)] * 2), "results.jsonl")
    assert "team/news/uid/pod/results.jsonl" not in files(folder)


def test_a_folder_that_cannot_be_made_is_known_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        ResultStore(tmp_path / "file" / "results", max_bytes=1, inline_limit=1)
