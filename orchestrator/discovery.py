"""Finds the checkout, its git directory and the place of `.orchestrator/` with the standard library alone.

The front door imports this module on every call, so it uses `os` and nothing dearer. It starts no process,
writes nothing, and reads no git configuration but two keys of the repository's own, `core.bare` and
`core.worktree`.
"""

from __future__ import annotations

import os
import stat

from orchestrator.errors import Refused
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = "ORCHESTRATOR_DIR"


class Located:
    """Where things are, as absolute real paths.

    `checkout` is the root of the working tree called from; `git_dir` its own git directory, `common_dir` the
    one it shares with linked worktrees; `home` the root of the checkout that holds `.orchestrator/` (the main
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


def locate(
    start: str = ".",
    environment: dict[str, str] | None = None,
    *,
    accepts_owner: Callable[[str], bool] | None = None,
) -> Located:
    """Returns the nearest repository at or above `start`.

    `ORCHESTRATOR_DIR` names the checkout that holds `.orchestrator/` (or that directory itself) and wins over
    the main working tree. `accepts_owner` is asked about a checkout of somebody else; without it such a
    checkout is refused.

    Raises:
        Refused: `not-a-directory`, `not-a-repository`, `inside-git-directory`, `bare-repository`,
            `broken-repository`, `git-dir-spoofed`, `work-tree-elsewhere`, `main-checkout-unknown`,
            `unsafe-owner`, or `orchestrator-dir-invalid`.
    """
    here = os.path.realpath(start)
    if not os.path.isdir(here):
        raise Refused(
            f"{start} is not a directory.", code="not-a-directory", hint="Choose another with -C DIR."
        )
    checkout = _nearest_checkout(here)
    git_dir = _git_dir(checkout)
    common_dir = _common_dir(checkout, git_dir)
    if git_dir == common_dir:
        _check_work_tree(checkout, git_dir)
    _check_owner(checkout, git_dir, accepts_owner)
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
        if os.path.basename(place) == ".git" and _looks_like_git_dir(place):
            raise Refused(
                f"{here} is inside a git directory, not in a working tree.",
                code="inside-git-directory",
                hint=f"Go to the working tree, for instance: -C {os.path.dirname(place)}",
            )
        if os.path.lexists(os.path.join(place, ".git")):
            return place
        if _looks_like_git_dir(place):
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


def _looks_like_git_dir(place: str) -> bool:
    return (
        os.path.isfile(os.path.join(place, "HEAD"))
        and os.path.isdir(os.path.join(place, "objects"))
        and os.path.isdir(os.path.join(place, "refs"))
    )


def _git_dir(checkout: str) -> str:
    entry = os.path.join(checkout, ".git")
    if os.path.isfile(entry):
        text = _named_path(entry)
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


def _common_dir(checkout: str, git_dir: str) -> str:
    named = os.path.join(git_dir, "commondir")
    if not os.path.lexists(named):
        return git_dir
    if os.path.basename(os.path.dirname(git_dir)) != "worktrees":
        raise Refused(
            f"{named} names another repository's git directory, which git itself never writes there.",
            code="git-dir-spoofed",
            hint="Do not trust this repository; clone it anew with: git clone --no-local",
        )
    common = os.path.realpath(os.path.join(git_dir, _named_path(named)))
    if common != os.path.dirname(os.path.dirname(git_dir)) or not _looks_like_git_dir(common):
        raise Refused(
            f"{named} points to {common}, which is not the repository of this worktree.",
            code="git-dir-spoofed",
            hint="Repair it with: git worktree repair",
        )
    registered = os.path.join(git_dir, _named_path(os.path.join(git_dir, "gitdir")))
    if os.path.realpath(registered) != os.path.join(checkout, ".git"):
        raise Refused(
            f"{checkout} uses the git directory of another worktree, {os.path.dirname(registered)}.",
            code="git-dir-spoofed",
            hint=f"If you moved it yourself, call in {checkout}: git worktree repair",
        )
    return common


def _check_work_tree(checkout: str, git_dir: str) -> None:
    """Refuses a repository whose own configuration says that its files are somewhere else, or nowhere."""
    settings = _core_settings(git_dir)
    named = settings.get("worktree")
    if named is not None and os.path.realpath(os.path.join(git_dir, named)) != checkout:
        raise Refused(
            f"The repository in {checkout} says that its working tree is {named} (core.worktree).",
            code="work-tree-elsewhere",
            hint="Look at it with: git config --show-origin core.worktree",
        )
    if named is None and _is_true(settings.get("bare", "false")):
        raise Refused(
            f"{git_dir} is a bare repository: it has no working tree to work on.",
            code="bare-repository",
            hint="Call it in a clone or in a worktree made by: git worktree add",
        )


def _main_checkout(checkout: str, git_dir: str, common_dir: str) -> str:
    if git_dir == common_dir:
        return checkout
    settings = _core_settings(common_dir)
    beside = os.path.basename(common_dir) == ".git"
    is_bare = _is_true(settings.get("bare", "false" if beside else "true"))
    named = settings.get("worktree", os.pardir if beside else None)
    if named is not None and not is_bare:
        main = os.path.realpath(os.path.join(common_dir, named))
        if _leads_to(main, common_dir):
            return main
    what = "the bare repository" if is_bare else "the repository"
    raise Refused(
        f"{checkout} is a worktree of {what} {common_dir}, whose main working tree cannot be found.",
        code="bare-repository" if is_bare else "main-checkout-unknown",
        hint=f"Name the checkout that shall hold the state: {ENVIRONMENT}={checkout}",
    )


def _leads_to(checkout: str, git_dir: str) -> bool:
    try:
        return _git_dir(checkout) == git_dir
    except Refused:
        return False


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


def _check_owner(checkout: str, git_dir: str, accepts_owner: Callable[[str], bool] | None) -> None:
    """Refuses what git refuses as "dubious ownership". Source: git 2.39, safe.directory.

    Git's own answer depends on the user's global configuration, which only git can read; here only the plain
    case is decided (everything is ours).
    """
    if not hasattr(os, "geteuid"):
        return
    allowed = {os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        allowed.add(int(os.environ["SUDO_UID"]))
    for place in (checkout, git_dir):
        owner = os.lstat(place).st_uid
        if owner not in allowed and (accepts_owner is None or not accepts_owner(checkout)):
            raise Refused(
                f"{place} belongs to user id {owner}, not to you.",
                code="unsafe-owner",
                hint=f"If you trust it: git config --global --add safe.directory {checkout}",
            )


def _read(path: str, most: int = 8192) -> bytes:
    """Returns the start of a regular file, nothing where there is none; a FIFO does not block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            return os.read(descriptor, most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError:
        return b""


def _first_line(path: str) -> str:
    return os.fsdecode(_read(path).split(b"\n", 1)[0]).strip()


def _named_path(path: str) -> str:
    """Returns what a file that holds one path holds; the path itself may contain line ends, as git allows."""
    return os.fsdecode(_read(path).rstrip(b"\r\n"))


def _core_settings(git_dir: str) -> dict[str, str]:
    """Returns the keys of the section `core` in the repository's own configuration, which is only read.

    Source: git-config(1), "Syntax"; includes are not followed.
    """
    found: dict[str, str] = {}
    for name in ("config", "config.worktree"):
        section = ""
        for raw in os.fsdecode(_read(os.path.join(git_dir, name), 1 << 20)).split("\n"):
            line = raw.strip()
            if line.startswith("["):
                section, _, line = line[1:].partition("]")
                line = line.strip()
            if section.strip().lower() == "core" and line and line[0] not in "#;":
                key, separator, value = line.partition("=")
                found[key.strip().lower()] = _plain(value.strip()) if separator else "true"
    return found


def _plain(value: str) -> str:
    """Returns a configuration value without its quotes, escapes and comment."""
    plain, quoted, letters = "", False, iter(value)
    for letter in letters:
        if letter == '"':
            quoted = not quoted
        elif letter == "\\":
            escaped = next(letters, "")
            plain += {"n": "\n", "t": "\t", "b": "\b"}.get(escaped, escaped)
        elif letter in "#;" and not quoted:
            return plain.rstrip()
        else:
            plain += letter
    return plain


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "yes", "on", "1")


def _is_object_id(text: str) -> bool:
    return len(text) in (40, 64) and all(digit in "0123456789abcdef" for digit in text)


def _broken(checkout: str, reason: str) -> Refused:
    return Refused(
        f"{checkout} holds a broken git repository: {reason}.",
        code="broken-repository",
        hint="Look at it with: git fsck; for a moved worktree: git worktree repair",
    )
