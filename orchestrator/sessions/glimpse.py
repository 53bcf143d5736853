"""Sees at once which state is used here, without a library; None where only a full look can tell."""

from __future__ import annotations

import os

from orchestrator.paths import names
from orchestrator.sessions.environment import WebMode, boot_key, detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.discovery import Located

_MENTIONS = (b"web", b"include:", b'include"', b"include'")
"""However it is quoted; what is included may speak of it as well."""
_OURS = "ORCHESTRATOR_WEB"


class Glimpse:
    """Which state is used: `session` is None outside of any, `others` counts the states besides it."""

    __slots__ = ("others", "session", "state_dir", "web")

    def __init__(self, state_dir: str, session: str | None, web: WebMode, others: int = 0) -> None:
        self.state_dir = state_dir
        self.session = session
        self.web = web
        self.others = others


def glimpse(located: Located, variables: Mapping[str, str]) -> Glimpse | None:
    """Returns the state that a command reading here would use; None where the configuration must be read."""
    directory = located.orchestrator_dir
    environment = detect(variables)
    sessions = os.path.join(directory, names.SESSIONS)
    if environment.lasts and not os.path.isdir(sessions):
        return Glimpse(directory, None, WebMode(environment, "auto"))
    from orchestrator.sessions.finding import of_this_boot, session_names  # nothing to find on most machines

    known = session_names(sessions)
    if not known and environment.lasts:
        return Glimpse(directory, None, WebMode(environment, "auto"))
    if _is_configured(located, variables):
        return None
    web = WebMode(environment, "auto")
    outside = os.path.lexists(os.path.join(directory, names.STATE))
    if not web.sessions:
        return Glimpse(directory, None, web, len(known)) if outside else None
    facts = os.stat(located.common_dir)
    from orchestrator.fs.probe import boot_id

    boot = boot_key(environment, boot_id(), os.uname().nodename if hasattr(os, "uname") else "")
    found = of_this_boot(sessions, boot, (facts.st_dev, facts.st_ino))
    if len(found) != 1:
        return None
    return Glimpse(os.path.join(sessions, found[0]), found[0], web, len(known) - 1 + outside)


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
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(b"#"))
    return any(mention in line for line in lines for mention in _MENTIONS)
