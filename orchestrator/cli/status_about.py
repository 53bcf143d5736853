"""What `status` says besides runs: machine, session, disk. Standard library, for the front door."""

from __future__ import annotations

import os

from orchestrator.cli.words import age, size
from orchestrator.paths import names
from orchestrator.sessions.glimpse import Glimpse, glimpse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.cli.screen import Screen
    from orchestrator.discovery import Located
    from orchestrator.model.json import Json


class About(Glimpse):
    """Where a status comes from, in words."""

    __slots__ = ()

    def fields(self) -> dict[str, Json]:
        """Returns it for `status --json`."""
        measured = disk_use(self.state_dir)
        return {
            "session": self.session,
            "environment": self.web.environment.name,
            "web_mode": self.web.on,
            "consequences": list(self.web.consequences()),
            "disk": {"bytes": measured[0], "measured_at": measured[1]} if measured else None,
        }

    def say(self, screen: Screen) -> None:
        """Prints it as notes: nothing on a machine like any other before its disk use was measured."""
        if self.web.differs:
            screen.note(self.web.sentence())
        if self.session is not None:
            screen.note(f"session {self.session}")
        measured = disk_use(self.state_dir)
        if measured is not None:
            past = age(measured[1])
            screen.note(f"disk use: {size(measured[0])}{f', measured {past} ago' if past else ''}")
        if self.others:
            screen.note("More is in other sessions: orchestrator status --all-sessions")


def disk_use(state_dir: str) -> tuple[int, str] | None:
    """Returns the bytes that a state tree held when it was last measured, and when that was."""
    try:
        descriptor = os.open(
            os.path.join(state_dir, names.DISK_USE), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
        )
    except OSError:
        return None
    try:
        words = os.read(descriptor, 256).decode("ascii", "replace").split()
    finally:
        os.close(descriptor)
    return (int(words[0]), words[1]) if len(words) == 2 and words[0].isdigit() else None


def quick_about(located: Located, variables: Mapping[str, str]) -> About | None:
    """Returns where the status comes from, None where only the full command can tell."""
    found = glimpse(located, variables)
    return About(found.state_dir, found.session, found.web, found.others) if found is not None else None
