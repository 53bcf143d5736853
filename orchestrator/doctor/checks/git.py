"""Git: its version, what is locked, our refs, and what the repository's own configuration would run."""

from __future__ import annotations

import os

from orchestrator.doctor.context import Context, run_of_ref
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, skip, warn
from orchestrator.errors import Refused
from orchestrator.paths import names
from orchestrator.repo.archive import archived_runs
from orchestrator.repo.asking import OURS
from orchestrator.state.ownership import Ownership


def our_ref_locks(context: Context) -> list[str]:
    """Returns the full names of our refs at which a git command has left (or holds) a lock file."""
    common = context.located().common_dir
    found = []
    for prefix in OURS:
        for directory, _, files in os.walk(os.path.join(common, prefix)):
            for file in files:
                if file.endswith(".lock"):
                    path = os.path.join(directory, file.removesuffix(".lock"))
                    found.append(os.path.relpath(path, common))
    return sorted(found)


def _ref_locks(context: Context) -> Diagnosis:
    ours = our_ref_locks(context)
    common = context.located().common_dir
    others = [
        os.path.join(common, name)
        for name in ("HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")
        if os.path.lexists(os.path.join(common, name))
    ]
    if ours and not context.living.peek():
        return warn(
            f"{counted(len(ours), 'lock')} of killed git commands block our refs.",
            "orchestrator doctor --fix",
            (*ours, *others),
            fixable=True,
        )
    if others:
        return warn(
            "Git is locked: a git command is at work, or was killed.",
            f"If no git command is running: rm {others[0]}",
            others,
        )
    return ok("No ref is locked.")


def _run_refs(context: Context) -> Diagnosis:
    refs = context.refs()
    checkpointed = {run_of_ref(name)[1] for name in refs if name.startswith(names.RUN_REFS)}
    if not refs:
        return ok("There are no refs of runs.")
    runs = context.runs.peek()
    if runs is None and context.ownership() is not Ownership.OURS:
        return skip("It is not initialised here.")
    known = {*(runs or ()), *context.elsewhere(), *archived_runs(context.repository())}
    lost = sorted(checkpointed - known)
    if lost:
        return fail(
            f"{counted(len(lost), 'run')} exist in the refs alone.", "orchestrator doctor --recover", lost
        )
    clutter = [
        name for name in refs if run_of_ref(name)[0] and run_of_ref(name)[1] not in checkpointed | known
    ]
    if clutter:
        return warn(
            "Refs of runs that neither the state nor a checkpoint knows; they keep commits from git's gc.",
            f"Look at it: git log {clutter[0]}",
            clutter,
        )
    return ok(f"{counted(len(refs), 'ref')} of ours, all of known runs.")


def _checkpoints(context: Context) -> Diagnosis:
    refs = {name: oid for name, oid in context.refs().items() if name.startswith(names.RUN_REFS)}
    if not refs:
        return ok("There are no checkpoints yet.")
    wanted = "".join(f"{oid}:{part}\n" for oid in refs.values() for part in ("run.json", "tree"))
    done = context.git().run("cat-file", "--batch-check", input=wanted.encode(), timeout_s=15)
    lines = done.stdout.decode("ascii", "replace").splitlines()
    kinds = [line.split()[1] if len(line.split()) == 3 else "missing" for line in lines]
    broken = [
        f"{name}: {oid[:12]}"
        for (name, oid), paper, tree in zip(refs.items(), kinds[::2], kinds[1::2], strict=False)
        if (paper, tree) != ("blob", "tree")
    ]
    if broken:
        return fail("The newest checkpoint of a run cannot be read.", "git fsck --full", broken)
    return ok(f"The newest checkpoint of {counted(len(refs), 'run')} can be read.")


def _scratch(context: Context) -> Diagnosis:
    git_dir = context.located().git_dir
    left = [name for name in os.listdir(git_dir) if name.startswith("orchestrator-")]
    if not left:
        return ok("No merge or undo has left anything in the git directory.")
    if context.state.peek() is None:
        return warn("An interrupted merge left its working files.", "orchestrator doctor --recover", left)
    return warn(
        "An interrupted merge or undo waits to be settled.", "orchestrator doctor --fix", left, fixable=True
    )


def _local_programs(context: Context) -> Diagnosis:
    keys = context.git().runnable_keys()
    hooks = context.repository().local_hooks()
    found = [*keys, *(f"hook {name}" for name in hooks)]
    if not found:
        return ok("The repository's own git configuration runs nothing.")
    trusted = context.is_trusted() if context.loaded.peek() is not None else False
    if trusted or not keys:
        return ok("The repository's own git configuration names programs; filters run once trusted.", found)
    return warn(
        "The repository's own git configuration names programs. None of them runs before you trust it.",
        "Look at them: git config --list --show-origin",
        found,
    )


def _identity(context: Context) -> Diagnosis:
    try:
        found = context.repository().identity()
    except Refused as refusal:
        if refusal.code != "identity-missing":
            raise
        return warn(refusal.message + " No run can start without it.", refusal.hint)
    return ok(f"Results are committed as {found.author_name} <{found.author_email}>.")


CHECKS = (
    Check(
        "git-ref-locks",
        "git",
        "no ref is locked",
        "A git command that was killed leaves a lock that blocks the ref. Ours go once nobody works.",
        _ref_locks,
    ),
    Check(
        "git-run-refs",
        "git",
        "refs and state know the same runs",
        "Checkpoints outlive the state; runs that only the refs know can be brought back.",
        _run_refs,
    ),
    Check(
        "git-checkpoints",
        "git",
        "the newest checkpoint of every run can be read",
        "A checkpoint is a commit that holds the whole tree and the run's papers.",
        _checkpoints,
    ),
    Check(
        "git-scratch",
        "git",
        "no merge or undo was interrupted",
        "They prepare a new index in a directory of ours in the git directory.",
        _scratch,
    ),
    Check(
        "git-local-programs",
        "git",
        "whether the repository's own configuration would run programs",
        "Filters, hooks and drivers of a foreign repository are never run before you trust it.",
        _local_programs,
    ),
    Check(
        "git-identity",
        "git",
        "git knows who you are",
        "Results are committed in your name; without one no run starts.",
        _identity,
    ),
)
