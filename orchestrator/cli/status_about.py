"""What `status` says besides runs: machine, session, disk. Standard library, for the front door."""

from __future__ import annotations

import os

from orchestrator.cli.words import age, size
from orchestrator.paths import names
from orchestrator.sessions.environment import WebMode, boot_key, detect
from orchestrator.sessions.finding import of_this_boot, session_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.cli.screen import Screen
    from orchestrator.discovery import Located
    from orchestrator.model.json import Json

_MENTIONS = (b"web_mode", b"web:", b'web"')
_OURS = "ORCHESTRATOR_WEB"


class About:
    """Where a status comes from: `state_dir` holds the database, `session` is None outside of any session.

    `others` counts the states that are not shown.
    """

    __slots__ = ("others", "session", "state_dir", "web")

    def __init__(self, state_dir: str, session: str | None, web: WebMode, others: int = 0) -> None:
        self.state_dir = state_dir
        self.session = session
        self.web = web
        self.others = others

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
    directory = located.orchestrator_dir
    environment = detect(variables)
    sessions = os.path.join(directory, names.SESSIONS)
    if environment.lasts and not os.path.isdir(sessions):
        return About(directory, None, WebMode(environment, "auto"))
    known = session_names(sessions)
    if not known and environment.lasts:
        return About(directory, None, WebMode(environment, "auto"))
    if _is_configured(located, variables):
        return None
    web = WebMode(environment, "auto")
    outside = os.path.lexists(os.path.join(directory, names.STATE))
    if not web.sessions:
        return About(directory, None, web, len(known)) if outside else None
    facts = os.stat(located.common_dir)
    from orchestrator.fs.probe import boot_id

    boot = boot_key(environment, boot_id(), os.uname().nodename if hasattr(os, "uname") else "")
    found = of_this_boot(sessions, boot, (facts.st_dev, facts.st_ino))
    if len(found) != 1:
        return None
    return About(os.path.join(sessions, found[0]), found[0], web, len(known) - 1 + outside)


def _is_configured(located: Located, variables: Mapping[str, str]) -> bool:
    """Returns whether some layer of the configuration may speak of web mode, so that it must be read."""
    if any(name.startswith(_OURS) for name in variables):
        return True
    home = variables.get("HOME", "")
    places = [
        os.path.join(located.checkout, names.CONFIG),
        *(
            os.path.join(root, names.DIRECTORY, file)
            for root in {located.checkout, located.home}
            for file in (names.CONFIG, names.LOCAL_CONFIG)
        ),
        *(
            os.path.join(place, "orchestrator", names.CONFIG)
            for place in (
                variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"),
                os.path.join(home, "Library", "Application Support"),
                *(variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep),
                "/Library/Application Support",
            )
        ),
    ]
    return any(_mentions(path) for path in places)


def _mentions(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return False
    return any(mention in text for mention in _MENTIONS)
