"""Finds the checkout, its git directory and the place of `.orchestrator/` with the standard library alone.

The front door imports this module on every call, so it uses `os` and nothing dearer; it starts no process,
reads no git configuration except two keys of the repository's own (`core.bare`, `core.worktree`), and writes nothing.
"""

from __future__ import annotations

import os
import stat

from orchestrator.errors import Refused
from orchestrator.paths import names

ENVIRONMENT = "ORCHESTRATOR_DIR"


class Located:
    """Where things are, as absolute real paths.

    `checkout` is the root of the working tree called from; `git_dir` its own git directory, `common_dir` the one
    it shares with linked worktrees; `home` the root of the checkout that holds `.orchestrator/` (the main
    working tree, so that linked worktrees share their state).
    """

    __slots__ = ("checkout", "common_dir", "git_dir", "home")

    def __init__(self, *, checkout: str, git_dir: str, common_dir: str, home: str) -> None:
        self.checkout = checkout
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.home = home

    @property
    def is_linked(self) -> bool:
        """Returns whether the checkout is a linked worktree of another one."""
        return self.git_dir != self.common_dir

    @property
    def orchestrator_dir(self) -> str:
        """Returns the path of `.orchestrator/`, which may not exist."""
        return os.path.join(self.home, names.DIRECTORY)


def locate(start: str = ".", environment: dict[str, str] | None = None) -> Located:
    """Returns the nearest repository at or above `start`.

    `ORCHESTRATOR_DIR` names the checkout that holds `.orchestrator/` (or that directory itself) and wins over
    the main working tree.

    Raises:
        Refused: `not-a-repository`, `bare-repository`, `broken-repository`, `inside-orchestrator`,
            `unsafe-owner`, or `orchestrator-dir-invalid`.
    """
    here = os.path.realpath(start)
    if not os.path.isdir(here):
        raise Refused(
            f"{start} is not a directory.", code="not-a-directory", hint="Choose another with -C DIR."
        )
    checkout = _nearest_checkout(here)
    git_dir = _git_dir(checkout)
    common_dir = _common_dir(git_dir)
    _check_owner(checkout, git_dir)
    home = _named_home(environment if environment is not None else dict(os.environ))
    return Located(
        checkout=checkout,
        git_dir=git_dir,
        common_dir=common_dir,
        home=home or _main_checkout(checkout, git_dir, common_dir),
    )


def _nearest_checkout(here: str) -> str:
    place = here
    while True:
        if os.path.basename(place) == names.DIRECTORY and _is_repository(os.path.dirname(place)):
            place = os.path.dirname(place)
        if os.path.lexists(os.path.join(place, ".git")):
            return place
        if _is_bare(place):
            raise Refused(
                f"{place} is a bare repository: it has no working tree to work on.",
                code="bare-repository",
                hint="Call it in a clone or in a worktree made by: git worktree add",
            )
        parent = os.path.dirname(place)
        if parent == place:
            raise Refused(
                f"{here} is not inside a git repository.",
                code="not-a-repository",
                hint="Make one with `git init`, or choose another directory with -C DIR.",
            )
        place = parent


def _is_repository(place: str) -> bool:
    return os.path.lexists(os.path.join(place, ".git"))


def _is_bare(place: str) -> bool:
    if os.path.basename(place) == ".git":
        return False
    return _looks_like_git_dir(place)


def _looks_like_git_dir(place: str) -> bool:
    return (
        os.path.isfile(os.path.join(place, "HEAD"))
        and os.path.isdir(os.path.join(place, "objects"))
        and os.path.isdir(os.path.join(place, "refs"))
    )


def _git_dir(checkout: str) -> str:
    entry = os.path.join(checkout, ".git")
    if os.path.isfile(entry):
        text = _first_line(entry)
        if not text.startswith("gitdir: "):
            raise _broken(checkout, f"{entry} does not name a git directory")
        entry = os.path.join(checkout, text[len("gitdir: ") :])
    git_dir = os.path.realpath(entry)
    if not os.path.isfile(os.path.join(git_dir, "HEAD")):
        raise _broken(checkout, f"its git directory {git_dir} has no HEAD")
    head = _first_line(os.path.join(git_dir, "HEAD"))
    if not head.startswith("ref: refs/") and not _is_object_id(head):
        raise _broken(checkout, "its HEAD names neither a branch nor a commit")
    return git_dir


def _common_dir(git_dir: str) -> str:
    named = os.path.join(git_dir, "commondir")
    if not os.path.lexists(named):
        return git_dir
    if os.path.basename(os.path.dirname(git_dir)) != "worktrees":
        raise Refused(
            f"{named} names another repository's git directory, which git itself never writes there.",
            code="git-dir-spoofed",
            hint="Do not trust this repository; clone it anew with: git clone --no-local",
        )
    common = os.path.realpath(os.path.join(git_dir, _first_line(named)))
    if common != os.path.dirname(os.path.dirname(git_dir)) or not _looks_like_git_dir(common):
        raise Refused(
            f"{named} points to {common}, which is not the repository of this worktree.",
            code="git-dir-spoofed",
            hint="Repair it with: git worktree repair",
        )
    return common


def _main_checkout(checkout: str, git_dir: str, common_dir: str) -> str:
    if git_dir == common_dir:
        return checkout
    main = os.path.dirname(common_dir)
    if os.path.basename(common_dir) == ".git":
        return main
    if os.path.realpath(os.path.join(main, ".git")) == common_dir:
        return main
    raise Refused(
        f"{checkout} is a worktree of the bare repository {common_dir}, which has no main working tree.",
        code="bare-repository",
        hint=f"Name the checkout that shall hold the state: {ENVIRONMENT}={checkout}",
    )


def _named_home(environment: dict[str, str]) -> str:
    named = environment.get(ENVIRONMENT, "")
    if not named:
        return ""
    home = os.path.realpath(named)
    if os.path.basename(home) == names.DIRECTORY:
        home = os.path.dirname(home)
    if not os.path.isdir(home):
        raise Refused(
            f"{ENVIRONMENT} names {named}, which is not a directory.",
            code="orchestrator-dir-invalid",
            hint=f"Unset {ENVIRONMENT}, or let it name the checkout that holds {names.DIRECTORY}.",
        )
    return home


def _check_owner(checkout: str, git_dir: str) -> None:
    """Refuses what git refuses as "dubious ownership". Source: git 2.39, safe.directory.

    Git's own answer depends on the user's global configuration, which only git can read; here only the plain
    case is decided (everything is ours), and the rest is left to the first git call.
    """
    if not hasattr(os, "geteuid"):
        return
    allowed = {os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        allowed.add(int(os.environ["SUDO_UID"]))
    for place in (checkout, git_dir):
        owner = os.lstat(place).st_uid
        if owner not in allowed:
            raise Refused(
                f"{place} belongs to user id {owner}, not to you.",
                code="unsafe-owner",
                hint="Work in a clone of your own, or change its owner with: chown -R",
            )


def _first_line(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            data = os.read(descriptor, 8192)
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return data.split(b"\n", 1)[0].decode("utf-8", "surrogateescape").strip()


def _is_object_id(text: str) -> bool:
    return len(text) in (40, 64) and all(digit in "0123456789abcdef" for digit in text)


def _broken(checkout: str, reason: str) -> Refused:
    return Refused(
        f"{checkout} holds a broken git repository: {reason}.",
        code="broken-repository",
        hint="Look at it with: git fsck; for a moved worktree: git worktree repair",
    )
