"""Brings runs back that were saved elsewhere, into a clone that may never have seen `.orchestrator/` before.

Everything is put where it is missing, and the ref that says what our state comes from is moved last: a kill
at any point leaves something that the next call completes. What comes back is not trusted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.config.json_schema import packaged
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import DirectoryLock
from orchestrator.model.event import PastEvent
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import ExecutionStatus, RunProgress
from orchestrator.paths import is_session_id, names
from orchestrator.repo import results
from orchestrator.repo.remote import Remote
from orchestrator.repo.removal import DISCARDED_REFS, forget_incoming
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor
from orchestrator.sessions.clone import state_paths
from orchestrator.sessions.giving_way import Target, checkpoints_of, give_way
from orchestrator.sessions.lease import LOOK_S, parse_remote_name
from orchestrator.sessions.saved import Saved, read_saved
from orchestrator.sessions.segments import chain_ref
from orchestrator.state.document import parsed
from orchestrator.state.layout import make_directories, rebuild_layout
from orchestrator.state.manager import StateManager

FETCH_S = 900.0
"""How long fetching may take, in seconds."""


@dataclass(slots=True)
class Restored:
    """What came back: run ids by how they stand, and a sentence for everything that could not be used.

    `kept` are the refs of what was here and gave way to what went on elsewhere.
    """

    session: str
    runs: dict[RunId, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Json]:
        """Returns it as a JSON object."""
        return {
            "session": self.session,
            "runs": [{"id": run_id, "status": status} for run_id, status in self.runs.items()],
            "kept": list(self.kept),
            "problems": list(self.problems),
        }


def fetch_saved(
    target: Target,
    remote: Remote,
    *,
    session: str | None = None,
    run_id: RunId | None = None,
    carried: Sequence[Remote] = (),
) -> tuple[list[Saved], list[str]]:
    """Returns what the remote holds of a session, of a run, or of the session that was saved last.

    `carried` are working branches that may carry runs as well. The second part of what is returned says what
    is there and cannot be used.

    Raises:
        Failed: `remote-unreachable`.
    """
    found: list[Saved] = []
    problems: list[str] = []
    git = target.repository.git
    wanted: dict[str, tuple[str, str]] = {}
    for each in (remote, *carried):
        tips = each.tips(names.SESSION_REFS, names.STATE_BRANCHES, timeout_s=LOOK_S)
        more = {name: of for name, of in _wanted(tips, session, run_id).items() if name not in wanted}
        if more:
            each.fetch_all({name: _into(of) for name, of in more.items()}, timeout_s=FETCH_S)
        wanted.update(more)
    for name, (of_session, run) in wanted.items():
        tip = target.repository.read_ref(_into(wanted[name]))
        try:
            if tip is not None:
                found.append(read_saved(git, tip, session=of_session, run_id=run))
        except Refused as refusal:
            problems.append(f"{name}: {refusal.message}")
    return (found if run_id or session else _newest_session(found)), problems


def _into(of: tuple[str, str]) -> str:
    session, run_id = of
    return f"{names.INCOMING_REFS}{session}/{run_id}"


def _wanted(
    tips: Mapping[str, ObjectId], session: str | None, run_id: RunId | None
) -> dict[str, tuple[str, str]]:
    wanted: dict[str, tuple[str, str]] = {}
    for name in sorted(tips):
        parsed = parse_remote_name(name)
        if parsed is None or not is_session_id(parsed[0]) or "/" in parsed[1]:
            continue
        if session in (None, parsed[0]) and run_id in (None, parsed[1]):
            wanted[name] = parsed[:2]
    return wanted


def _newest_session(found: list[Saved]) -> list[Saved]:
    newest = max(found, key=lambda saved: saved.manifest.at, default=None)
    return [saved for saved in found if newest and saved.manifest.session == newest.manifest.session]


def bring_back(target: Target, found: list[Saved]) -> Restored:
    """Puts runs of one session back where this clone does not know them, and says how they stand.

    Raises:
        Locked: another command just changes the repository, or a process here works on one of the runs.
        Refused: `.orchestrator/` is not ours to touch; nothing was changed.
        DiskFailed: what was put back so far stays; the same call goes on.
    """
    done = Restored(found[0].manifest.session if found else "")
    if not found:
        forget_incoming(target.repository)
        return done
    lock = DirectoryLock(
        target.located.common_dir,
        record=target.paths.locks_dir / "repository.lock",
        what="this repository",
        command="orchestrator sessions restore",
    )
    with lock:
        _make_layout(target, found)
        target = replace(target, paths=state_paths(target.paths, done.session))
        make_directories(target.paths, Disk())
        with StateManager.open(target.paths, create=True, redactor=target.redactor) as state:
            for saved in found:
                try:
                    _bring_back(target, state, saved, done)
                except Refused as refusal:
                    done.problems.append(f"{saved.run_id}: {refusal.message}")
        forget_incoming(target.repository)
    return done


def _make_layout(target: Target, found: list[Saved]) -> None:
    newest = max(found, key=lambda saved: saved.manifest.at)
    rebuild_layout(
        target.paths, Disk(), repo_id=newest.manifest.repo_id, workflow_yaml=_workflow(target, newest)
    )
    schema = target.paths.orchestrator_dir / names.SCHEMA
    if not os.path.lexists(schema):
        Disk().write(schema, packaged(), mode=0o644)


def _workflow(target: Target, newest: Saved) -> bytes | None:
    """Returns the bytes of workflow.yaml as the newest run recorded them, None where one is read already."""
    located = target.located
    configs = ((names.DIRECTORY, names.CONFIG), (names.CONFIG,))
    present = (Path(place, *parts) for place in (located.home, located.checkout) for parts in configs)
    if any(os.path.lexists(path) for path in present):
        return None
    text = _inside(newest.document, "run", "metadata").get("workflow_yaml")
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else None


def _inside(document: JsonObject, *keys: str) -> JsonObject:
    for key in keys:
        inner = document.get(key)
        document = inner if isinstance(inner, Mapping) else {}
    return document


def _bring_back(target: Target, state: StateManager, saved: Saved, done: Restored) -> None:
    ref = chain_ref(saved.manifest.session, saved.run_id)
    local = target.repository.read_ref(ref)
    known = _is_known(state, saved.run_id)
    if known and local is not None and is_ancestor(target.repository, saved.tip, local):
        return
    document, past = _here(target, saved), saved.past
    _require_usable(target, saved, document)
    if known:
        kept = give_way(target, state, saved, local)
        done.kept += [name for name in kept if name not in done.kept]
        past = _newer(target.repository, saved, local)
    _put_refs(target.repository, saved)
    _put_papers(target, saved)
    state.recover_run(document, past=past, replaces=known)
    run = state.get_run(saved.run_id)
    done.runs[run.id] = str(run.status)
    _put_branch(target.repository, saved.run_id, run.metadata.progress)
    checkpoints_of(target).restore_manifest(run.id)
    target.repository.update_ref(ref, saved.tip, local)


def _require_usable(target: Target, saved: Saved, document: JsonObject) -> None:
    """Looks at everything that will be written, before anything is.

    Raises:
        Refused: `document-invalid`, `plan-invalid` or `save-invalid`.
    """
    parsed(document)
    for path in saved.papers:
        saved.paper(target.repository.git, path)


def _newer(repository: Repository, saved: Saved, local: ObjectId | None) -> tuple[PastEvent, ...]:
    """Returns the events that happened elsewhere since our own state was saved."""
    if local is None:
        return saved.past
    since = set(repository.git.lines("rev-list", "--first-parent", saved.tip, "--not", local))
    return tuple(event for commit, events in saved.events if commit in since for event in events)


def _is_known(state: StateManager, run_id: RunId) -> bool:
    try:
        state.get_run(run_id)
    except Refused:
        return False
    return True


def _put_refs(repository: Repository, saved: Saved) -> None:
    """Lets our refs stand where the run stood; its save holds every one of these commits."""
    said = saved.manifest
    for prefix, oid in (
        (names.BASE_REFS, said.base),
        (names.RESULT_REFS, said.result),
        (names.RUN_REFS, said.checkpoint),
    ):
        name = prefix + saved.run_id
        found = repository.read_ref(name)
        if oid is not None and found != oid:
            repository.update_ref(name, ObjectId(oid), found)


def _put_papers(target: Target, saved: Saved) -> None:
    disk = Disk()
    for path in saved.papers:
        place = target.paths.artifacts_dir / path
        if not os.path.lexists(place):
            data = saved.paper(target.repository.git, path)
            disk.make_dir(place.parent)
            disk.write(place, data)


def _here(target: Target, saved: Saved) -> JsonObject:
    """Returns the record of a run as it is in this clone: called from this checkout, what ran broken off.

    The attempt that was worked on ends as interrupted, so that the next one is told what it continues.
    """
    run = dict(_inside(saved.document, "run"))
    metadata = dict(_inside(saved.document, "run", "metadata"))
    origin = _inside(saved.document, "run", "metadata", "origin")
    metadata["origin"] = {**origin, "checkout": target.located.checkout}
    executions = saved.document.get("executions")
    listed = executions if isinstance(executions, Sequence) and not isinstance(executions, str) else ()
    return {
        **saved.document,
        "run": {**run, "metadata": metadata},
        "executions": [_broken_off(target, saved, each) for each in listed],
    }


def _broken_off(target: Target, saved: Saved, execution: Json) -> Json:
    if not isinstance(execution, Mapping) or execution.get("status") != ExecutionStatus.RUNNING:
        return execution
    progress, kept = _inside(execution, "progress"), saved.manifest.checkpoint
    if progress.get("process") is None or kept is None:
        return execution
    tree = target.repository.git.text("rev-parse", "--verify", f"{kept}:tree")
    return {
        **execution,
        "status": str(ExecutionStatus.INTERRUPTED),
        "error": "its machine went away",
        "completed_at": saved.manifest.at.isoformat(),
        "progress": {**progress, "process": None, "checkpoint": kept, "tree": tree},
    }


def _put_branch(repository: Repository, run_id: RunId, progress: RunProgress) -> None:
    """Publishes a result again that was published, unless it was merged or discarded."""
    branch, result = results.branch_ref(run_id), progress.result
    if progress.branch != branch or result is None or progress.merged:
        return
    kept = repository.read_ref(results.result_ref(run_id))
    is_gone = repository.read_ref(DISCARDED_REFS + run_id) is not None
    if is_gone or kept is None or repository.read_ref(branch) is not None:
        return
    if is_ancestor(repository, result, kept):
        results.publish_branch(repository, run_id, result, None)
