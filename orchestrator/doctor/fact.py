"""Something found out at most once. Standard library only, for the front door."""

from __future__ import annotations

from orchestrator.errors import OrchestratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Generic, TypeVar

    T = TypeVar("T")

    class _Of(Generic[T]):
        """Makes a class generic."""
else:  # importing typing costs more than everything that is done here
    T = object

    class _Of:
        def __class_getitem__(cls, item):
            return cls


class Fact(_Of[T]):
    """Something found out on the first call and remembered, a failure as well."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._found: list[T] = []
        self._error: OrchestratorError | OSError | None = None

    def __call__(self) -> T:
        """Returns what was found; raises again what was raised the first time."""
        if self._error is not None:
            raise self._error
        if not self._found:
            try:
                self._found.append(self._look())
            except (OrchestratorError, OSError) as error:
                self._error = error
                raise
        return self._found[0]

    def peek(self) -> T | None:
        """Returns what was found, already or now; None where it cannot be found out."""
        try:
            return self()
        except (OrchestratorError, OSError):
            return None

    def known(self) -> tuple[T, ...]:
        """Returns what was found already; nothing where nobody asked, or it could not be found out."""
        return tuple(self._found)

    def forget(self) -> None:
        """Makes the next call look again."""
        self._found, self._error = [], None
