"""What may become of a call of an operator's, and how calls are told apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PATH: Final = re.compile(r"/namespaces/[^/]+/(?P<plural>[a-z]+)(/(?P<name>[^/]+))?(/(?P<sub>[a-z]+))?$")


class Verdict(Enum):
    """What becomes of a call."""

    PASS = auto()
    UNAUTHORIZED = auto()
    CONFLICT = auto()
    THROTTLED = auto()
    FAILED = auto()
    CUT = auto()
    """Lost on the way there: the caller gets no answer."""
    FAILED_APPLIED = auto()
    CUT_APPLIED = auto()
    """Lost on the way back: done, but the caller gets no answer."""
    GARBLED_APPLIED = auto()
    KILL = auto()
    """The operator dies before the call reaches the API server."""
    KILL_APPLIED = auto()
    """The operator dies when the call is done, before the answer arrives."""
    DEPOSE = auto()
    """The call passes, but from now on the operator cannot renew its lease, until another has it."""
    DEPOSE_LATE = auto()
    """The same, and the call reaches the API server only when another operator leads."""


ANSWERS: Final[Mapping[Verdict, tuple[int, str]]] = {
    Verdict.UNAUTHORIZED: (401, "Unauthorized"),
    Verdict.CONFLICT: (409, "Conflict"),
    Verdict.THROTTLED: (429, "TooManyRequests"),
    Verdict.FAILED: (500, "InternalError"),
    Verdict.FAILED_APPLIED: (504, "Timeout"),
}
APPLIED: Final = frozenset(
    {
        Verdict.PASS,
        Verdict.DEPOSE,
        Verdict.FAILED_APPLIED,
        Verdict.CUT_APPLIED,
        Verdict.GARBLED_APPLIED,
        Verdict.KILL_APPLIED,
    }
)
FOR_READS: Final = (Verdict.THROTTLED, Verdict.FAILED, Verdict.CUT)
FOR_WRITES: Final = (*FOR_READS, Verdict.CONFLICT, Verdict.FAILED_APPLIED, Verdict.CUT_APPLIED)
ODD_FOR_READS: Final = (Verdict.UNAUTHORIZED,)
ODD_FOR_WRITES: Final = (*ODD_FOR_READS, Verdict.GARBLED_APPLIED)
"""What looks the same to all but the client: tried on some calls only."""


@dataclass(frozen=True)
class Call:
    """One call of an operator."""

    number: int
    """Counts all calls of a trial from 1."""
    write: int
    """Counts its writes from 1; 0 for a read."""
    text: str
    plural: str
    list: bool

    def __str__(self) -> str:
        return f"call {self.number}" + (f", write {self.write}" if self.write else "") + f": {self.text}"


class Counter:
    """Numbers the calls of one trial, whichever operator makes them."""

    def __init__(self) -> None:
        self.calls = 0
        self.writes = 0

    def number(self, method: str, path: str) -> Call:
        self.calls += 1
        self.writes += method in WRITES
        match = _PATH.search(path)
        plural = match["plural"] if match else ""
        listing = bool(match) and method == "GET" and match["name"] is None  # type: ignore[index]
        write = self.writes if method in WRITES else 0
        return Call(self.calls, write, f"{method} {path}", plural, listing)
