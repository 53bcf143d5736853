"""Rebuilds `.orchestrator/` from the refs alone, after it was removed or its database was damaged.

Everything is put back where it is missing and nothing is overwritten, so that a kill at any point leaves
something that the next call completes. What comes back was written by nobody we know: it is not trusted.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.config.json_schema import packaged
from orchestrator.config.trust import place_key
from orchestrator.doctor.context import Context
from orchestrator.doctor.footprint import checkouts
from orchestrator.errors import Locked, Refused, StateDamaged
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import DirectoryLock
from orchestrator.model.ids import RunId
from orchestrator.model.json import Json
from orchestrator.model.run import ENDED_RUN, Run, RunStatus
from orchestrator.paths import names
from orchestrator.process import leftovers
from orchestrator.repo import results
from orchestrator.repo.archive import archived_runs
from orchestrator.repo.recovery import Found, FoundRun, find_runs
from orchestrator.repo.removal import DISCARDED_REFS
from orchestrator.repo.settle import is_ancestor
from orchestrator.state import damage
from orchestrator.state.layout import rebuild_layout
from orchestrator.state.manager import StateManager
from orchestrator.state.ownership import Ownership, is_remains, read_ownership, unusable

PATIENCE_S = 10.0
"""How long the processes of a run whose state was removed are given to notice that and to end."""
_REPO_ID = re.compile(r"[0-9a-f]{32}")

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RecoveredRun:
    """A run that came back, as it stood at its newest checkpoint, and what is lost of it."""

    run_id: RunId
    task: str
    status: RunStatus
    checkpoint: str
    lost: tuple[str, ...]

    def sentence(self) -> str:
        """Returns it in words."""
        lost = "; ".join(self.lost)
        return f"run {self.run_id} is back ({self.status}), as of {self.checkpoint}; lost: {lost}"


@dataclass(slots=True)
class Recovery:
    """What a recovery did; empty when everything was there."""

    made: tuple[str, ...] = ()
    quarantined: list[str] = field(default_factory=list)
    runs: list[RecoveredRun] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    revoked: int = 0
    resumable: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def sentences(self) -> tuple[str, ...]:
        """Returns what was done, one sentence each."""
        said = [f"put aside {path}" for path in self.quarantined]
        if self.made:
            said.append(f"made {', '.join(self.made)}")
        said += [run.sentence() for run in self.runs]
        said += [f"branch {branch} is back" for branch in self.branches]
        if self.manifests:
            said.append(f"listed the checkpoints of {', '.join(self.manifests)} again")
        if self.revoked:
            said.append("what the configuration would run has to be approved again: orchestrator trust")
        if self.archived:
            count = len(self.archived)
            words = "1 archived run stays" if count == 1 else f"{count} archived runs stay"
            which = "it back" if count == 1 else "one back"
            way = f"orchestrator restore {self.archived[0]}"
            said.append(f"{words} in the archive; bring {which} with: {way}")
        return tuple(said) or ("Everything is there; nothing had to be recovered.",)

    def as_json(self) -> dict[str, Json]:
        """Returns it as a JSON object."""
        return {
            "made": list(self.made),
            "quarantined": self.quarantined,
            "runs": [
                {
                    "id": run.run_id,
                    "task": run.task,
                    "status": str(run.status),
                    "checkpoint": run.checkpoint,
                    "lost": list(run.lost),
                }
                for run in self.runs
            ],
            "branches": self.branches,
            "manifests": self.manifests,
            "resumable": self.resumable,
            "archived": self.archived,
            "problems": self.problems,
        }


def recover(
    context: Context, *, note: Note = lambda sentence: None, patience_s: float = PATIENCE_S
) -> Recovery:
    """Puts back what is missing of `.orchestrator/` and returns what that was; repeating it is fine.

    A damaged database goes to `quarantine/` first. Nobody else may move anything of ours meanwhile: the
    repository's lock is held.

    Raises:
        Locked: a run is alive, or another command just changes the repository.
        Refused: `nothing-to-recover`, or the directory is not ours to touch; nothing was changed.
        DiskFailed: what was put back so far stays; the same command goes on.
    """
    located, paths = context.located(), context.paths()
    lock = DirectoryLock(
        located.common_dir,
        record=paths.locks_dir / "repository.lock",
        what="this repository",
        command="orchestrator doctor --recover",
    )
    with lock:
        _require_idle(context, note, patience_s)
        found = find_runs(context.checkpoints())
        archived = sorted(archived_runs(context.repository()))
        _require_something(context, found, archived)
        return _recover(context, found, archived)


def _require_idle(context: Context, note: Note, patience_s: float) -> None:
    """Makes sure that no run is alive; one whose state was removed under it is given time to notice."""
    for run_id, holder in context.living().items():
        raise Locked(what=f"Run {run_id}", holder=holder.describe())
    deadline, told = time.monotonic() + patience_s, False
    while found := leftovers.find(context.marker()):
        if time.monotonic() >= deadline:
            error = Locked(what="This repository", holder=f"pid {found[0].pid} (`{found[0].command[:80]}`)")
            error.hint = "If nobody needs that process any more: orchestrator doctor --fix"
            raise error
        if not told:
            note("Processes of a run are still there; waiting for them to end.")
            told = True
        time.sleep(0.1)


def _require_something(context: Context, found: Found, archived: Sequence[str]) -> None:
    paths = context.paths()
    directory = os.fspath(paths.orchestrator_dir)
    ownership = read_ownership(directory)
    if ownership in (Ownership.OLDER, Ownership.NEWER, Ownership.UNSAFE):
        raise unusable(directory, ownership)
    if ownership is Ownership.FOREIGN and not (is_remains(directory) and (found.runs or found.problems)):
        raise unusable(directory, ownership)
    if ownership in (Ownership.ABSENT, Ownership.CLONE) and not found.runs and not archived:
        raise Refused(
            "No checkpoint of any run is in this repository, so there is nothing to recover.",
            code="nothing-to-recover",
            hint="orchestrator init",
        )


def _recover(context: Context, found: Found, archived: Sequence[str]) -> Recovery:
    done, paths = Recovery(problems=list(found.problems)), context.paths()
    damaged = _is_damaged(context)
    newest = _newest(found)
    if damaged or not paths.layout_file.is_file() or not paths.state_file.is_file():
        done.revoked = _revoke(context)
    _put_torn_layout_aside(context, done)
    done.made = rebuild_layout(
        paths, Disk(), repo_id=_repo_id(newest), workflow_yaml=_workflow(context, newest)
    )
    schema = paths.orchestrator_dir / names.SCHEMA
    if not os.path.lexists(schema):
        Disk().write(schema, packaged(), mode=0o644)
        done.made = (*done.made, names.SCHEMA)
    if damaged:
        # No run's lock is held, and whoever still has it open notices that it is another file by now.
        place = damage.quarantine(paths)
        done.quarantined += [str(place)] if place is not None else []
    with StateManager.open(paths, create=True) as state:
        for each in found.runs:
            if each.run_id in context.elsewhere():
                continue  # another session has it
            with _told(done, each.run_id):
                _bring_back(context, state, each, done)
        for run in state.list_runs():
            with _told(done, run.id):
                _complete(context, state, run, done)
        known = {run.id for run in state.list_runs()} | context.elsewhere()
        done.archived = [run_id for run_id in archived if run_id not in known]
    return done


class _told:
    """Notes an error about one run, so that the others still come back; a full disk stops everything."""

    def __init__(self, done: Recovery, run_id: RunId) -> None:
        self._done = done
        self._run_id = run_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Refused):
            self._done.problems.append(f"{self._run_id}: {error.message}")
            return True
        return False


def _is_damaged(context: Context) -> bool:
    """Returns whether the database must be put aside.

    Raises:
        Refused: it is another program's, or a newer version's.
    """
    paths = context.paths()
    if not os.path.lexists(paths.state_file):
        return False
    try:
        with StateManager.open_read_only(paths, copied=True) as state:
            return bool(state.problems())
    except StateDamaged:
        return True
    except Refused as refusal:
        if refusal.code in ("state-older", "state-missing"):  # or never finished: it will be
            return False
        raise


def _put_torn_layout_aside(context: Context, done: Recovery) -> None:
    paths = context.paths()
    torn = os.path.lexists(paths.layout_file) and read_ownership(str(paths.orchestrator_dir)) not in (
        Ownership.OURS,
        Ownership.OLDER,
        Ownership.NEWER,
    )
    if torn:
        place = paths.quarantine_dir / f"layout-{secrets.token_hex(4)}.json"
        Disk().make_dir(paths.quarantine_dir)
        Disk().rename(paths.layout_file, place)
        done.quarantined.append(str(place))


def _newest(found: Found) -> FoundRun | None:
    """Returns the run with the newest checkpoint; of several in one second the one that was started last."""
    return max(found.runs, key=lambda each: (each.checkpoint.at, _started(each)), default=None)


def _started(found: FoundRun) -> str:
    run = found.document.get("run")
    return str(run.get("created_at", "")) if isinstance(run, Mapping) else ""


def _repo_id(newest: FoundRun | None) -> str:
    said = newest.document.get("repo_id") if newest is not None else None
    return said if isinstance(said, str) and _REPO_ID.fullmatch(said) else secrets.token_hex(16)


def _workflow(context: Context, newest: FoundRun | None) -> bytes | None:
    """Returns the bytes of workflow.yaml as the newest run recorded them, None where one is read already."""
    located = context.located()
    present = (Path(place, *parts) for place in (located.home, located.checkout) for parts in _CONFIGS)
    if newest is None or any(os.path.lexists(path) for path in present):
        return None
    run = newest.document.get("run")
    metadata = run.get("metadata") if isinstance(run, dict) else None
    text = metadata.get("workflow_yaml") if isinstance(metadata, dict) else None
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else None


_CONFIGS = ((names.DIRECTORY, names.CONFIG), (names.CONFIG,))


def _revoke(context: Context) -> int:
    """Takes back every approval for this repository; what is put back shall be looked at first."""
    identity, store = context.repository().git_dir_identity, context.trust_store()
    return sum(store.revoke(place_key(checkout, identity)) for checkout in checkouts(context))


def _bring_back(context: Context, state: StateManager, found: FoundRun, done: Recovery) -> None:
    if not state.recover_run(found.document):
        return
    run = state.get_run(found.run_id)
    taken = found.checkpoint
    done.runs.append(
        RecoveredRun(
            run_id=run.id,
            task=run.task,
            status=run.status,
            checkpoint=f"checkpoint {taken.number} ({taken.label}, {taken.at:%Y-%m-%d %H:%M} UTC)",
            lost=tuple(_lost(context, found, run)),
        )
    )
    if run.status not in ENDED_RUN or run.status is RunStatus.FAILED:
        done.resumable.append(run.id)


def _lost(context: Context, found: FoundRun, run: Run) -> list[str]:
    lost = ["the record of single events"]
    if run.status not in ENDED_RUN and not _has_tree(context, run.id):
        lost.append("what was done after that checkpoint")
    artifacts = found.document.get("artifacts")
    listed = (
        [each.get("path") for each in artifacts if isinstance(each, dict)]
        if isinstance(artifacts, list)
        else []
    )
    place = context.paths().artifacts_dir
    gone = sum(not os.path.lexists(place / path) for path in listed if isinstance(path, str))
    if gone:
        lost.append(f"{gone} of {len(listed)} transcripts and check outputs")
    return lost


def _has_tree(context: Context, run_id: RunId) -> bool:
    return any(tree.run_id == run_id for tree in context.trees().list(run_id))


def _complete(context: Context, state: StateManager, run: Run, done: Recovery) -> None:
    """Brings back what belongs to a known run outside of the database: its branch, its manifest."""
    _notice_merge(context, state, run)
    run = state.get_run(run.id)
    if _restore_branch(context, run):
        done.branches.append(f"orchestrator/{run.id}")
    if context.checkpoints().restore_manifest(run.id):
        done.manifests.append(run.id)


def _notice_merge(context: Context, state: StateManager, run: Run) -> None:
    """Records a merge that came after the last checkpoint: the branch it was meant for holds the result."""
    progress, target = run.metadata.progress, run.metadata.origin.branch
    if progress.merged or progress.result is None or target is None:
        return
    repository = context.repository()
    tip = repository.read_ref(target)
    if tip is not None and is_ancestor(repository, progress.result, tip):
        state.set_run_progress(run.id, replace(progress, merged=True))


def _restore_branch(context: Context, run: Run) -> bool:
    """Publishes a result again whose branch is gone, unless it was merged or discarded.

    The document that names the result is nobody's word, so only a commit that our own refs keep is published.
    """
    progress, repository = run.metadata.progress, context.repository()
    branch = results.branch_ref(run.id)
    if progress.branch != branch or progress.result is None or progress.merged:
        return False
    if repository.read_ref(branch) is not None or repository.read_ref(DISCARDED_REFS + run.id) is not None:
        return False
    kept = [repository.read_ref(results.result_ref(run.id)), repository.read_ref(names.RUN_REFS + run.id)]
    if not any(tip is not None and is_ancestor(repository, progress.result, tip) for tip in kept):
        raise Refused(
            f"its result {progress.result[:12]} is kept by no ref, so its branch does not come back.",
            code="result-missing",
            hint="Look for it with: git fsck --unreachable",
        )
    results.publish_branch(repository, run.id, progress.result, None)
    return True
