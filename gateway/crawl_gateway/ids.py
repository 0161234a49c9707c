"""What callers call an object: its name, its UID, `job_` and 32 hexadecimal digits, an integer, its display name."""

import re
import uuid
from typing import Final, TypeVar

from crawl_api.names import LABEL_JOB_ID, LABEL_TASK_ID
from crawl_client.models import ApiObject
from crawl_gateway.entries import DISPLAY_NAME, Entry
from crawl_gateway.shelf import Shelf

T = TypeVar("T", bound=ApiObject)

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_JOB_ID: Final = re.compile(r"job_[0-9a-f]{32}", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


def job_id(uid: str) -> str:
    """Return what systems with readable ids call an object.

    >>> job_id("0f8fad5b-d9cb-469f-a165-70867728950e")
    'job_0f8fad5bd9cb469fa16570867728950e'
    """
    return f"job_{uid.replace('-', '')}"


def find(shelf: Shelf[T], namespace: str, text: str) -> Entry[T] | None:
    """Return the object of a namespace that a text means; what is a name is taken as one first."""
    if found := shelf.named(namespace, text):
        return found
    if _NUMBER.fullmatch(text) and (found := shelf.called(namespace, LABEL_TASK_ID, str(int(text)))):
        return found
    if _JOB_ID.fullmatch(text):
        if found := shelf.called(namespace, LABEL_JOB_ID, text):
            return found
        text = str(uuid.UUID(text[4:]))
    if _UUID.fullmatch(text):
        found = shelf.with_uid(text.lower())
        return found if found and found.key[0] == namespace else None
    return shelf.called(namespace, DISPLAY_NAME, text)
