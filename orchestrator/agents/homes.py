"""Where coding agents keep their own state: sessions, settings, logins; the user's place, or one of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.fs.disk import Disk
from orchestrator.model.agent import Login
from orchestrator.secretstore.lookup import PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class HomeFile:
    """A file that a home of ours begins with, only where the variable `when` is set, if it names one."""

    path: str
    text: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """How one tool is told where its state is, and how one sees there whether somebody is logged in.

    `variables` maps each that tells it to the place below a home of ours; the first also moves the `usual`
    one. `logins` are files that exist once somebody is logged in, below the usual place, `logins_of_own`
    below ours (empty: the same); `hints` are files that may hold a key, so that nobody can tell. `log_in` is
    what to type. `elsewhere` names the platform where no file tells (`any`: everywhere).
    """

    variables: Mapping[str, str]
    usual: str
    log_in: str
    logins: tuple[str, ...] = ()
    logins_of_own: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    files: tuple[HomeFile, ...] = ()
    elsewhere: Literal["", "darwin", "any"] = ""


def settle(home: Home, directory: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Makes a home of ours ready and returns the variables that lead the tool there.

    What is there already stays as it is: it may be somebody's. Only the owner can look inside.

    Raises:
        DiskFailed: it cannot be made.
    """
    disk = Disk()
    root = Path(os.path.abspath(directory))
    disk.make_dir(root, mode=0o700)
    written: set[str] = set()
    for file in home.files:
        place = root / file.path
        if file.path in written or (file.when and not environment.get(file.when)) or place.exists():
            continue
        written.add(file.path)
        disk.make_dir(place.parent, mode=0o700)
        disk.write(place, file.text.encode(), mode=0o600)
    return {name: os.fspath(root / below) for name, below in home.variables.items()}


def login_of(home: Home, keys: tuple[str, ...], environment: Mapping[str, str], directory: str = "") -> Login:
    """Returns how a tool would prove who asks: looked up in variables and files, offline.

    `keys` are the variables that hold its keys; `directory` is the home of ours that it works in, if any.
    """
    if any(environment.get(name, "") not in ("", *PLACEHOLDERS) for name in keys):
        return Login.KEY
    below = home.logins_of_own or home.logins if directory else home.logins
    root = directory or _usual(home, environment)
    if any(os.path.isfile(os.path.join(root, path)) for path in below):
        return Login.LOGIN
    if home.elsewhere in ("any", sys.platform):
        return Login.UNKNOWN
    if any(os.path.isfile(os.path.join(root, path)) for path in home.hints):
        return Login.UNKNOWN
    return Login.NONE


def _usual(home: Home, environment: Mapping[str, str]) -> str:
    variable, below = next(iter(home.variables.items()))
    moved = environment.get(variable, "")
    if moved and not below:
        return moved
    user = environment.get("HOME") or os.path.expanduser("~")
    return user + home.usual.removeprefix("~")
