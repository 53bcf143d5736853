"""`.orchestrator/`: whose it is, whether it is complete, and what has been left in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, skip, warn
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate.record import Record, records
from orchestrator.model.run import RunStatus
from orchestrator.paths import names
from orchestrator.repo.git import Git
from orchestrator.repo.trees import IsolatedTree
from orchestrator.state.ownership import DIRECTORIES, Ownership

STALE = frozenset({RunStatus.COMPLETED, RunStatus.CANCELLED})
"""Runs whose tree nobody needs: all of it goes into a checkpoint. Failed ones are resumed in theirs."""


def _git_at_home(context: Context) -> Git:
    """Returns git in the checkout that holds `.orchestrator/`, which may not be the one called from."""
    return replace(context.git(), directory=Path(context.located().home))


def _ignored(context: Context) -> Diagnosis:
    paths = context.require_ours()
    if not paths.ignore_file.is_file():
        return fail(
            f"{paths.ignore_file} is gone, so `git add` would take in state, logs and agents' trees.",
            "orchestrator doctor --fix",
            fixable=True,
        )
    words = ("check-ignore", "-q", "--", str(paths.state_file))
    done = _git_at_home(context).run(*words, ok=(0, 1, 128), timeout_s=15)
    if done.status == 128:
        return skip("It does not lie in a working tree.")
    if done.status == 0:
        return ok("Git ignores what is private here.")
    return fail(
        f"{paths.ignore_file} lets git see the state.",
        f"Restore what `orchestrator init` wrote: rm {paths.ignore_file} && orchestrator doctor --fix",
    )


def _shared(context: Context) -> Diagnosis:
    paths = context.require_ours()
    if not paths.config_file.is_file():
        return skip("There is no workflow.yaml.")
    asked = os.fsencode(paths.config_file) + b"\0"
    words = ("check-ignore", "-v", "-z", "--stdin")
    done = _git_at_home(context).run(*words, input=asked, ok=(0, 1, 128), timeout_s=15)
    source, line, pattern = ([*done.stdout.decode("utf-8", "surrogateescape").split("\0"), "", "", ""])[:3]
    if done.status != 0 or pattern.startswith("!"):
        return ok("workflow.yaml can be committed.")
    if source.endswith(f"{names.DIRECTORY}/{names.IGNORE}"):
        return ok("workflow.yaml is private (`init --private`).")
    return warn(
        "A rule of yours ignores workflow.yaml, so it would not be committed with the repository.",
        "git add -f .orchestrator/workflow.yaml .orchestrator/layout.json .orchestrator/.gitignore",
        (f"{source}:{line}: {pattern}",),
    )


def _tracked(context: Context) -> Diagnosis:
    directory = names.DIRECTORY
    items = _git_at_home(context).zsplit("ls-files", "-z", "--", f":(top,literal){directory}")
    tracked = [os.fsdecode(item) for item in items]
    private = [path for path in tracked if path.split("/")[1] not in names.COMMITTABLE]
    if not private:
        return ok("Nothing private is tracked by git.")
    return fail(
        "Git tracks files of the state; they change with every run and may hold private text.",
        "git rm -r --cached -- " + " ".join(sorted({"/".join(path.split("/")[:2]) for path in private})),
        private,
    )


def _unknown(context: Context) -> Diagnosis:
    context.require_ours()
    entries = context.entries()
    unknown = [name for name in entries if name not in names.KNOWN and not name.startswith(TEMP_PREFIX)]
    if not unknown:
        return ok("Nothing unknown lies in it.")
    return warn(
        "It holds what this version did not make; it is left alone.",
        "Look at it, and move it out if nobody needs it.",
        unknown,
    )


def temporary_files(context: Context) -> list[Path]:
    """Returns the temporary files under our names; those of living writers are among them."""
    paths = context.require_ours()
    trees = {paths.orchestrator_dir, paths.state_dir}
    places = {*trees, *(tree / name for tree in trees for name in DIRECTORIES)}
    return [
        Path(entry.path)
        for place in places
        if place.is_dir() and not place.is_symlink()
        for entry in os.scandir(place)
        if entry.name.startswith(TEMP_PREFIX) and entry.is_file(follow_symlinks=False)
    ]


def _temporary(context: Context) -> Diagnosis:
    found = temporary_files(context)
    if not found or context.living.peek():
        return ok("No temporary file was left behind.")
    return warn(
        f"{counted(len(found), 'temporary file')} of killed commands lie around.",
        "orchestrator doctor --fix",
        (str(path) for path in found),
        fixable=True,
    )


def _place(context: Context) -> Diagnosis:
    paths = context.require_ours()
    try:
        remembered = json.loads((paths.orchestrator_dir / names.PLACE).read_bytes())
        path, identity = str(remembered["path"]), list(remembered["git_dir"])
    except FileNotFoundError:
        return skip("No run has been started here.")
    except (ValueError, KeyError, TypeError):
        return warn(
            f"{names.PLACE} cannot be read; the next run writes it anew.", "orchestrator doctor --fix"
        )
    if identity != list(context.repository().git_dir_identity):
        return warn(
            f"This is a copy of {path}: its runs are copies too and go on here by themselves.",
            "Nothing needs to be done; the next run makes this place its own.",
        )
    if path != str(paths.base_dir):
        return ok(f"The repository was moved here from {path}; the next run repairs its trees.")
    return ok("The repository is where it was.")


def stale_trees(context: Context) -> list[IsolatedTree]:
    """Returns the trees of completed and cancelled runs on which no process works."""
    runs, living = context.runs(), context.living()
    return [
        tree
        for tree in context.standing()
        if tree.run_id in runs and runs[tree.run_id].status in STALE and tree.run_id not in living
    ]


def _trees(context: Context) -> Diagnosis:
    if context.ownership() is not Ownership.OURS:
        return skip("It is not initialised here.")
    stale, standing = stale_trees(context), context.standing()
    if not stale:
        return ok(f"{counted(len(standing), 'tree')} of runs that may go on; none is stale.")
    return warn(
        f"{counted(len(stale), 'tree')} of ended runs still stand; all of it is kept in a checkpoint first.",
        "orchestrator doctor --fix",
        (str(tree.path) for tree in stale),
        fixable=True,
    )


def _tops_of(record: Record) -> Iterator[Path]:
    """Yields what a migration put directly into a directory of ours, such as `artifacts/legacy-w`."""
    for step in record.plan.steps:
        yield record.root.joinpath(*Path(step.target).parts[:3])


def _orphans(context: Context) -> Diagnosis:
    paths, runs = context.require_ours(), {*context.runs(), *context.elsewhere()}
    migrated = {path for record in records(paths.base_dir) for path in _tops_of(record)}
    found = []
    for place in (paths.artifacts_dir, context.trees().root, paths.checkpoints_dir):
        for name in sorted(os.listdir(place)) if place.is_dir() else ():
            known = name.removesuffix(".json") in runs or place / name in migrated
            if not name.startswith(".") and not known:
                found.append(str(place / name))
    if not found:
        return ok("Everything in it belongs to a run.")
    return warn(
        "It holds files of runs that the state does not know.", "orchestrator doctor --recover", found
    )


CHECKS = (
    Check(
        "layout-ignored",
        "layout",
        "git ignores what is private",
        "State, logs and trees must never be committed by a `git add -A`.",
        _ignored,
    ),
    Check(
        "layout-shared",
        "layout",
        "workflow.yaml can be committed",
        "A rule in a global or local ignore file may keep the shared configuration out of the repository.",
        _shared,
    ),
    Check(
        "layout-tracked",
        "layout",
        "nothing private is tracked by git",
        "Somebody may have added state with `git add -f`.",
        _tracked,
    ),
    Check(
        "layout-unknown",
        "layout",
        "nothing unknown lies in it",
        "What we did not make is never touched, only named.",
        _unknown,
    ),
    Check(
        "layout-temporary",
        "layout",
        "no temporary file was left behind",
        "A command killed in the middle of a write leaves at most one temporary file.",
        _temporary,
    ),
    Check(
        "layout-place",
        "layout",
        "whether the repository was moved or copied",
        "A copy works for itself and never touches the original; a moved repository repairs itself.",
        _place,
    ),
    Check(
        "layout-trees",
        "layout",
        "no tree of an ended run is left",
        "Trees of completed and cancelled runs go behind a checkpoint; resuming makes them again.",
        _trees,
    ),
    Check(
        "layout-orphans",
        "layout",
        "artifacts, trees and manifests belong to known runs",
        "Files of runs that the state does not know tell of a state that was lost.",
        _orphans,
    ),
)
