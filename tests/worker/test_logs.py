"""Log lines: one per event, whatever is in them."""

import logging

from crawl_worker.logs import LineFormatter


def line(message: str, raised: BaseException | None = None, **extra: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "created": 0.0, **extra})
    if raised is not None:
        record.exc_info = (type(raised), raised, raised.__traceback__)
    return LineFormatter().format(record)


def test_an_event_is_one_line_of_pairs() -> None:
    """Time, level, event, then the fields, texts quoted and numbers not."""
    assert line("page failed", url="http://h/ä", attempt=2) == (
        '1970-01-01T00:00:00.000Z INFO "page failed" url="http://h/ä" attempt=2'
    )


def test_hostile_texts_and_tracebacks_start_no_line() -> None:
    """Line ends and quotes are escaped."""
    text = line("x", ValueError("one\ntwo"), error='a\n2030\u2028\x1b[2J\u202eINFO "forged"')
    assert len(text.splitlines()) == 1
    assert "traceback=" in text
    assert text.isprintable()
