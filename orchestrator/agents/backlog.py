"""What has been told by an agent and not yet been taken: bounded, so that a flood waits at its source."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_MANY = 1000


class Backlog(Generic[Item]):
    """A queue between two threads that never makes the one that fills it wait.

    With `many` items in it `hold(True)` is called, which stops what they come from; once it is half empty
    `hold(False)`. After `close` everything that is added is dropped.
    """

    def __init__(self, hold: Callable[[bool], None], many: int = _MANY) -> None:
        self._hold = hold
        self._many = many
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._is_held = False
        self._is_closed = False

    def add(self, items: Iterable[Item]) -> None:
        """Adds items and returns at once."""
        with self._changed:
            if self._is_closed:
                return
            self._items.extend(items)
            if len(self._items) >= self._many and not self._is_held:
                self._set_held(True)
            self._changed.notify()

    def next(self, timeout_s: float) -> Item | None:
        """Returns the next item, None when none came in time."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if self._is_held and len(self._items) <= self._many // 2:
                self._set_held(False)
            return item

    def close(self) -> None:
        """Drops what there is and lets the source go on."""
        with self._changed:
            self._is_closed = True
            self._items.clear()
            if self._is_held:
                self._set_held(False)

    def _set_held(self, held: bool) -> None:
        self._is_held = held
        self._hold(held)
