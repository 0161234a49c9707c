"""The node's smaller pure parts: times, quantities, back-off, addresses, downward texts, images, kubeconfig."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local_cluster.node import addresses, downward, kubeconfig
from local_cluster.node.backoff import Backoff
from local_cluster.node.images import Images, UnknownImageError
from local_cluster.node.k8s import micro_time_text, parse_time, quantity, quantity_in, time_text
from local_cluster.node.records import LOST_MESSAGE, Memory, Record, Running, Terminated, Waiting

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def test_times_are_written_as_the_api_does() -> None:
    assert time_text(MOMENT) == "2026-01-02T03:04:05Z"
    assert micro_time_text(MOMENT) == "2026-01-02T03:04:05.678000Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.678000999Z",
        "2026-01-02T04:04:05.678+01:00",
    ],
)
def test_times_are_read_however_they_are_written(text: str) -> None:
    assert parse_time(text) == MOMENT


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-01-02T03:04:05")


@pytest.mark.parametrize(
    ("text", "divisor", "expected"),
    [("1", "1m", 1000), ("500m", "1", 1), ("128Mi", "1", 134217728), ("1G", "1M", 1000), ("1e3", "1", 1000)],
)
def test_quantities_are_counted_in_units_and_rounded_up(text: str, divisor: str, expected: int) -> None:
    assert quantity_in(text, divisor) == expected


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="no resource quantity"):
        quantity("many")


def test_back_off_doubles_up_to_its_limit() -> None:
    backoff = Backoff(base=10, longest=300)
    assert [backoff.wait(ends) for ends in range(8)] == [0, 0, 10, 20, 40, 80, 160, 300]
    assert backoff.wait(10_000) == 300
    assert backoff.healthy(600)
    assert not backoff.healthy(599)


def test_addresses_differ_and_last() -> None:
    taken: set[str] = set()
    for number in range(500):
        address = addresses.choose(f"uid-{number}", taken)
        assert address not in taken
        assert address.startswith("127.")
        assert not address.startswith("127.0.")
        taken.add(address)
    assert addresses.choose("uid-1", set()) == addresses.choose("uid-1", set())


def test_labels_are_listed_sorted_and_quoted() -> None:
    labels = {"b": 'say "hi"\n', "a": "ü"}
    pod = {"metadata": {"name": "n", "namespace": "ns", "uid": "u", "labels": labels}}
    assert downward.field(pod, "metadata.labels", "", "") == 'a="ü"\nb="say \\"hi\\"\\n"'


def test_an_unknown_image_names_the_known_ones_and_new_ones_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    file.write_text(json.dumps({"host": {}, "worker": {"entrypoint": ["w"]}}))
    images = Images(file)
    assert images.find("worker").entrypoint == ["w"]
    with pytest.raises(UnknownImageError, match="known images: host, worker"):
        images.find("other")
    (tmp_path / "new").write_text(json.dumps({"other": {"command": ["o"]}}))
    (tmp_path / "new").rename(file)
    assert images.find("other").command == ["o"]


def test_records_survive_the_node_and_what_ran_has_ended(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "records.json")
    assert memory.load() is None
    end = Terminated("id", 1, "Error", "m", MOMENT, MOMENT)
    waiting = Record("w", init=True, state=Waiting("CrashLoopBackOff"), last=end, attempts=2)
    memory.save([waiting, Record("r", state=Running("id", MOMENT), attempts=1, ready=True), Record("t", state=end)])
    loaded = memory.load()
    assert loaded is not None
    assert loaded[0] == waiting
    assert isinstance(loaded[1].state, Terminated)
    assert (loaded[1].state.exit_code, loaded[1].state.message) == (137, LOST_MESSAGE)
    assert not loaded[1].ready
    assert loaded[2].state == end


def test_a_kubeconfig_without_context_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("current-context: a\ncontexts: []\n")
    with pytest.raises(ValueError, match="no complete current context"):
        kubeconfig.load(file, tmp_path)
