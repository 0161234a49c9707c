"""Each dialect has one word for each phase, reads its own words and those of all others, in any case."""

from collections.abc import Mapping

import pytest
from dialect_cases import job

from crawl_api.enums import JobType, Phase
from crawl_client import ValidationError
from crawl_gateway.dialects.jobs import translate as jobs_translate
from crawl_gateway.dialects.tasks import translate as tasks_translate
from crawl_gateway.dialects.words import BUILT_IN, made, phases_of, told, type_name
from crawl_gateway.dialects.workers import answers

DIALECTS: dict[str, Mapping[Phase, str]] = {
    "server": answers.SERVER.states,
    "client": answers.CLIENT.states,
    "tasks": tasks_translate.STATES,
    "jobs": jobs_translate.STATES,
}
ROWS = """
Pending         Pending     pending      queued     QUEUED
Delayed         Delayed     delayed      queued     QUEUED
Suspended       Delayed     delayed      queued     QUEUED
Processing      Processing  processing   claimed    RUNNING
Retry           Retry       retry        queued     QUEUED
Completed       Completed   completed    completed  SUCCESS
PartialSuccess  Completed   completed    completed  PARTIAL_SUCCESS
Failed          Failed      failed       failed     FAILED
DeadLetter      Failed      dead_letter  failed     FAILED
Cancelled       Failed      cancelled    cancelled  FAILED
"""
TABLE = [row.split() for row in ROWS.strip().splitlines()]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_each_phase_has_its_word(row: list[str]) -> None:
    phase, *words = row
    assert [states[Phase(phase)] for states in DIALECTS.values()] == words


@pytest.mark.parametrize("column", range(4), ids=DIALECTS)
def test_each_word_means_the_phases_that_are_called_so(column: int) -> None:
    states = list(DIALECTS.values())[column]
    assert set(states) == set(Phase)
    for word in set(states.values()):
        meant = {Phase(row[0]) for row in TABLE if row[column + 1] == word}
        for spelled in (word, word.lower(), word.upper()):
            assert phases_of(states, spelled) == meant


@pytest.mark.parametrize("states", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize(
    ("word", "phases"),
    [
        ("dead_letter", {Phase.DEAD_LETTER}),
        ("DeadLetter", {Phase.DEAD_LETTER}),
        ("RUNNING", {Phase.PROCESSING}),
        ("claimed", {Phase.PROCESSING}),
        ("Suspended", {Phase.SUSPENDED}),
        ("queued", {Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED, Phase.RETRY}),
    ],
)
def test_a_word_of_another_dialect_is_understood(states: Mapping[Phase, str], word: str, phases: set[Phase]) -> None:
    assert phases_of(states, word) == phases


@pytest.mark.parametrize("states", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("word", ["nonsense", "", "comple"])
def test_an_unknown_word_is_refused(states: Mapping[Phase, str], word: str) -> None:
    with pytest.raises(ValidationError, match="is no phase"):
        phases_of(states, word)


@pytest.mark.parametrize(
    ("word", "parameters", "job_type"),
    [
        ("single_crawl", {"url": "https://example.org/"}, JobType.SINGLE),
        ("batch_crawl", {"urls": ["https://example.org/"]}, JobType.BATCH),
        ("site_crawl", {"startUrls": ["https://example.org/"]}, JobType.SITE),
        ("pdf", {"urls": ["https://example.org/a.pdf"]}, JobType.PDF),
        ("maintenance", {"task": "cache_cleanup"}, JobType.MAINTENANCE),
        ("bulk_import", {"file": "orders.csv"}, JobType.CUSTOM),
        ("Batch", {"any": 1}, JobType.CUSTOM),
        ("custom", {}, JobType.CUSTOM),
    ],
)
def test_a_type_comes_back_as_it_was_named(word: str, parameters: dict[str, object], job_type: JobType) -> None:
    new = made(word, parameters)
    stored = job(spec=dict(new.spec))
    assert stored.type is job_type
    assert type_name(stored) == word
    assert (word in BUILT_IN) == (job_type is not JobType.CUSTOM)


@pytest.mark.parametrize(
    ("payload", "parameters"),
    [
        (None, {}),
        ({}, {}),
        ({"a": None}, {"a": None}),
        ([1], {"payload": [1]}),
        ("text", {"payload": "text"}),
        (0, {"payload": 0}),
        (False, {"payload": False}),
    ],
)
def test_any_json_can_be_told_to_a_processor(payload: object, parameters: dict[str, object]) -> None:
    assert told(payload) == parameters
