"""The way of events from the threads of a turn to whoever consumes them: bounded, so that a flood waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """A queue of at most `limit` items; once it is closed, what is put into it is dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Adds an item, waiting for room."""
        with self._changed:
            while len(self._items) >= self._limit and not self._closed:
                self._changed.wait()
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    def get(self, timeout_s: float) -> Item | None:
        """Returns the next item, None when none came in time."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            if len(self._items) == self._limit:
                self._changed.notify_all()
            return self._items.popleft()

    def close(self) -> None:
        """Lets nobody wait any longer; nothing is taken in any more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
