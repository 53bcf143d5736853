"""Gathers the pieces in which an agent's text arrives, without holding more than is wanted of it."""

from __future__ import annotations

from orchestrator.agents.text import ending


class Head:
    """The first `limit` characters of what was added."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        """Adds what there is room for."""
        if self._room:
            self._pieces.append(text[: self._room])
            self._room -= len(self._pieces[-1])

    def __str__(self) -> str:
        return "".join(self._pieces)


class Tail:
    """The last `limit` characters of what was added; that more was there is told by an ellipsis."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, text: str) -> None:
        """Adds a piece."""
        self._pieces.append(text)
        self._size += len(text)
        if self._size > 4 * self._limit:
            self._pieces = [str(self)]
            self._size = len(self._pieces[0])

    def __str__(self) -> str:
        return ending("".join(self._pieces), self._limit)
