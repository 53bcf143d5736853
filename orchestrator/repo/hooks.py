"""Runs the user's hooks around a merge, and says which of them the repository itself brought."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from orchestrator.errors import Failed
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository

MERGE_HOOKS = ("pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-merge", "reference-transaction")
"""What `git merge` itself may run; `reference-transaction` at every move of a ref."""

_TIMEOUT_S = 6 * 3600.0


def of_the_repository(repository: Repository, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the paths of those hooks that would run and that the repository, not the user, supplies.

    Hooks in a directory that the user's global `core.hooksPath` names are the user's.
    """
    git = dataclasses.replace(repository.git, hooks=True)
    if _configured_by_user(git):
        return ()
    place = git.text("rev-parse", "--path-format=absolute", "--git-path", "hooks")
    found = (Path(place) / name for name in names)
    return tuple(str(path) for path in found if path.is_file() and os.access(path, os.X_OK))


def _configured_by_user(git: Git) -> bool:
    done = git.run("config", "--show-scope", "-z", "--get-all", "core.hooksPath", ok=(0, 1))
    scopes = [item.decode("ascii", "replace") for item in done.stdout.split(b"\0")[:-1][::2]]
    return bool(scopes) and scopes[-1] in ("system", "global")


def with_users_programs(git: Git) -> tuple[Git, dict[str, str]]:
    """Returns a git that runs hooks, and the environment that hooks and signing programs of the user expect.

    It is the user's own environment without `GIT_*`; an editor is never opened.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["LC_ALL"] = os.environ.get("LC_ALL", "")
    environment["GIT_CEILING_DIRECTORIES"] = ""
    environment["GIT_EDITOR"] = ":"
    return dataclasses.replace(git, hooks=True), environment


def run_hook(git: Git, name: str, *arguments: str) -> None:
    """Runs one hook of the user's as git would; a hook that does not exist says yes.

    Raises:
        Failed: `hook-failed`, it ended with another status than 0.
    """
    git, environment = with_users_programs(git)
    done = git.run(
        "hook",
        "run",
        "--ignore-missing",
        name,
        "--",
        *arguments,
        env=environment,
        ok=None,
        timeout_s=_TIMEOUT_S,
    )
    if done.status != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        reason = f": {said[-1]}" if said else f" (exit status {done.status})"
        raise Failed(
            f"The hook {name} refused the merge{reason}.",
            code="hook-failed",
            hint="Nothing was changed. Correct what it asks for, then merge again.",
        )
