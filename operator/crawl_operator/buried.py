"""Which objects were seen deleted: what is said of them later is old news."""

from collections import OrderedDict
from typing import Final

_REMEMBERED: Final = 10_000


class Buried:
    """UIDs of deleted objects, the latest 10,000."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, None] = OrderedDict()

    def add(self, uid: str) -> None:
        """Take note of a deletion."""
        self._uids[uid] = None
        while len(self._uids) > _REMEMBERED:
            self._uids.popitem(last=False)

    def __contains__(self, uid: str) -> bool:
        return uid in self._uids
