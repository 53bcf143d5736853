"""Asks git what can be asked without caution: commands that run nothing, whatever a configuration says.

Standard library only, for the front door; `git.Git` is for everything else. Only `rev-parse`, `for-each-ref`,
`config --list` and `--version` are asked here: none of them reaches a filter, a driver or a hook. Source:
git 2.39, measured with a hostile local configuration.
"""

from __future__ import annotations

import os

from orchestrator.discovery import locate
from orchestrator.errors import GitFailed, OrchestratorError, Refused
from orchestrator.paths import names
from orchestrator.process.asked import Captured, ask_program, minimal_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.discovery import Located

    Settings = tuple[tuple[str, str], ...]

OLDEST = (2, 38)
OURS = ("refs/orchestrator/", names.BRANCHES)
"""Prefixes of the refs this tool writes."""

ALWAYS: Settings = (
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.pager", "cat"),
    ("core.quotePath", "true"),
    ("color.ui", "false"),
    ("safe.bareRepository", "explicit"),
    ("protocol.ext.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("advice.detachedHead", "false"),
    ("log.showSignature", "false"),
    ("submodule.recurse", "false"),
)
"""What every call of git is told, whatever the configuration says."""

NO_HOOKS: Settings = (("core.hooksPath", os.devnull),)

_KEPT = (
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "XDG_CONFIG_HOME",
)
_TIMEOUT_S = 15.0
_IN_PROGRESS = (
    ("MERGE_HEAD", "merge"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase or am"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
    ("sequencer", "cherry-pick or revert"),
)


def environment(
    directory: str,
    settings: Settings,
    *,
    passed: tuple[str, ...] = (),
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns the environment of a git that starts in `directory` and looks no higher."""
    made = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CEILING_DIRECTORIES": os.path.dirname(directory),
        "GIT_CONFIG_COUNT": str(len(settings)),
        **(extra or {}),
    }
    for number, (key, value) in enumerate(settings):
        made[f"GIT_CONFIG_KEY_{number}"] = key
        made[f"GIT_CONFIG_VALUE_{number}"] = value
    return minimal_environment(made, passed=_KEPT + passed)


def ask(directory: str, *words: str, timeout_s: float = _TIMEOUT_S) -> Captured:
    """Returns what one of the commands named above prints, with any exit status.

    Raises:
        Failed: `not-started` or `timed-out`.
    """
    return ask_program(
        ["git", "--no-optional-locks", "-C", directory, *words],
        environment=environment(directory, ALWAYS + NO_HOOKS),
        timeout_s=timeout_s,
    )


def version() -> str:
    """Returns what git says of itself, as in `git version 2.39.5`.

    Raises:
        Failed: it cannot be started, or does not end.
    """
    done = ask_program(
        ["git", "--version"], environment=minimal_environment({"LC_ALL": "C"}), timeout_s=_TIMEOUT_S
    )
    return done.stdout.decode("utf-8", "replace").strip()


def head(directory: str) -> tuple[str | None, str | None]:
    """Returns the commit of HEAD (None before the first) and its branch's full name (None when detached).

    Raises:
        GitFailed: git cannot read the repository. Refused: `unsafe-owner`. Failed: as `ask`.
    """
    words = ("--is-inside-work-tree", "HEAD^{commit}", "--symbolic-full-name", "HEAD")
    done = ask(directory, "rev-parse", *words)
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
    if done.status != 0 and not lines[0]:
        raise failure("rev-parse", done)
    if done.status != 0:
        return None, None
    return lines[1], lines[2] if lines[2].startswith("refs/") else None


def our_refs(directory: str) -> dict[str, str]:
    """Returns every ref this tool wrote, with the object it names, by full name.

    Raises:
        GitFailed: git cannot read the repository. Refused: `unsafe-owner`. Failed: as `ask`.
    """
    done = ask(directory, "for-each-ref", "--format=%(objectname) %(refname)", *OURS)
    if done.status != 0:
        raise failure("for-each-ref", done)
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return {name: oid for oid, name in pairs}


def failure(command: str, done: Captured) -> OrchestratorError:
    """Returns the error for a git command that ended with a status nobody expected."""
    stderr = done.stderr.decode("utf-8", "replace")
    if "dubious ownership" in stderr:
        return Refused(
            "Git does not trust this repository: it belongs to another user.",
            code="unsafe-owner",
            hint="Work in a clone of your own, or change its owner with: chown -R",
        )
    return GitFailed(command=command, status=done.status, stderr=stderr)


def find_repository(start: str, environment: Mapping[str, str]) -> Located:
    """Returns where the repository is; somebody else's counts when the user's `safe.directory` allows it.

    Raises:
        Refused: as `discovery.locate`.
    """
    return locate(start, dict(environment), accepts_owner=_accepts_owner)


def operation_in_progress(git_dir: str | os.PathLike[str]) -> str | None:
    """Returns what the user has begun and not finished (`merge`, `rebase`, …), or None."""
    for entry, what in _IN_PROGRESS:
        if os.path.lexists(os.path.join(git_dir, entry)):
            return what
    return None


def _accepts_owner(checkout: str) -> bool:
    try:
        return ask(checkout, "rev-parse", "--git-dir").status == 0
    except OrchestratorError:
        return False
