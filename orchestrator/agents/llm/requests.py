"""How it is heard that we asked somebody over the network; never what."""

from __future__ import annotations

from typing import Protocol


class OnRequest(Protocol):
    """Hears of one request."""

    def __call__(self, host: str, method: str, status: int | None, size_bytes: int) -> None:
        """Takes notice; a status of None: there was no answer. `size_bytes`: what went out and came in."""
        ...


def unheard(host: str, method: str, status: int | None, size_bytes: int) -> None:
    """Takes no notice: a look at this machine itself."""
