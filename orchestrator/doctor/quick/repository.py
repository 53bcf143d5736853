"""The user's repository and its git: is it one, and can runs start in it."""

from __future__ import annotations

import os

from orchestrator.doctor.diagnosis import Diagnosis, QuickCheck, fail, ok, warn
from orchestrator.errors import Failed, GitFailed, Refused
from orchestrator.repo import asking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.doctor.surface import Surface


def _root(context: Surface) -> Diagnosis:
    try:
        located = context.located()
        context.head()
    except GitFailed as error:
        return fail(f"Git cannot read the repository: {error.message}", "git status")
    except Refused as refusal:
        return fail(refusal.message, refusal.hint)
    evidence = [f"working tree {located.checkout}", f"git directory {located.git_dir}"]
    if located.home != located.checkout:
        evidence.append(f"state is kept in {located.home}")
    return ok(f"The repository is {located.checkout}.", evidence)


def _first_commit(context: Surface) -> Diagnosis:
    oid, branch = context.head()
    if oid is None:
        return warn(
            "There is no commit yet, so no run can start.", 'git add -A && git commit -m "first commit"'
        )
    where = branch.removeprefix("refs/heads/") if branch else "no branch (detached)"
    return ok(f"HEAD is {oid[:12]} on {where}.")


def _operation(context: Surface) -> Diagnosis:
    doing = asking.operation_in_progress(context.located().git_dir)
    if doing is None:
        return ok("No merge, rebase or bisect is under way.")
    hint = f"git {doing.split()[0]} --abort (or finish it; `git status` says how)"
    return warn(
        f"A {doing} is under way: no run starts, and nothing is merged, until it is finished.",
        "git bisect reset" if doing == "bisect" else hint,
    )


def _version(context: Surface) -> Diagnosis:
    try:
        said = asking.version()
    except Failed as error:
        return fail(
            f"Git cannot be started: {error.message}", "Install git 2.38 or newer, and put it on PATH."
        )
    numbers = said.removeprefix("git version ").split(".")
    if len(numbers) < 2 or not (numbers[0] + numbers[1]).isdigit():
        return fail(f"Git says {said!r} of itself.", "Put git 2.38 or newer first on PATH.")
    if (int(numbers[0]), int(numbers[1])) < asking.OLDEST:
        return fail(f"{said} is too old.", "Install git 2.38 or newer, or put it first on PATH.")
    return ok(f"{said}.")


def _index_lock(context: Surface) -> Diagnosis:
    lock = os.path.join(context.located().git_dir, "index.lock")
    if not os.path.lexists(lock):
        return ok("No git command holds the index.")
    return warn(
        "The index is locked: a git command is at work, or was killed. It is never removed for you.",
        f"If no git command is running: rm {lock}",
        (lock,),
    )


CHECKS = (
    QuickCheck(
        "repository-root",
        "repository",
        "the repository can be found and read",
        "Everything else needs a git repository with a working tree that belongs to you. Bare, broken, "
        "spoofed and foreign-owned ones are refused.",
        _root,
    ),
    QuickCheck(
        "repository-first-commit",
        "repository",
        "there is a commit to start from",
        "A run starts from a commit; `init` works without one.",
        _first_commit,
    ),
    QuickCheck(
        "repository-operation",
        "repository",
        "no merge, rebase, cherry-pick or bisect is half done",
        "Runs and merges are refused in the middle of another operation of yours.",
        _operation,
    ),
)

GIT_CHECKS = (
    QuickCheck(
        "git-version",
        "git",
        "git 2.38 or newer is on PATH",
        "Merges are simulated with `git merge-tree --write-tree`, which came with 2.38.",
        _version,
    ),
    QuickCheck(
        "git-index-lock",
        "git",
        "no index.lock is left",
        "Git writes to the index under this lock. Only you can know that no git command is running.",
        _index_lock,
    ),
)
