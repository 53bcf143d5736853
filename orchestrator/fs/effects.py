"""Announces each durable effect before it happens, so that tests can cut the power at every one of them.

Standard library only and without a single import at run time: the state imports it on its hot path.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_observers: list[Callable[[str], None]] = []


def announce(effect: str) -> None:
    """Tells whoever observes that `effect` is about to happen; without an observer it does nothing.

    Called immediately before a file is written, renamed or removed, git changes something, or the database
    commits. What an observer raises comes out here, and the effect does not happen.
    """
    for observer in _observers:
        observer(effect)


class observe:
    """Calls `callback` with every effect announced inside the `with` block, in all threads."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[str], None]) -> None:
        self._callback = callback

    def __enter__(self) -> None:
        _observers.append(self._callback)

    def __exit__(self, *_: object) -> None:
        _observers.remove(self._callback)
