"""Brings runs back that were saved elsewhere, into a clone that may never have seen `.orchestrator/` before.

Everything is put where it is missing, and the ref that says what our state comes from is moved last: a kill
at any point leaves something that the next call completes. What comes back is not trusted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.config.json_schema import packaged
from orchestrator.errors import Locked, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import DirectoryLock
from orchestrator.model.event import PastEvent
from orchestrator.model.ids import ObjectId, RunId, is_run_id
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.record import Checkpoint
from orchestrator.model.run import ExecutionStatus, Run, RunProgress
from orchestrator.paths import is_session_id, names
from orchestrator.repo import results
from orchestrator.repo.history import read_small
from orchestrator.repo.remote import Remote
from orchestrator.repo.removal import DISCARDED_REFS, forget_incoming
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor
from orchestrator.sessions.clone import TransportName, state_paths
from orchestrator.sessions.giving_way import (
    Target,
    checkpoints_of,
    give_way,
    has_trees,
    lock_of_run,
    ref_names,
    refs_here,
    refs_of,
)
from orchestrator.sessions.lease import LOOK_S, parse_remote_name
from orchestrator.sessions.saved import Saved, read_saved
from orchestrator.sessions.segments import chain_ref, digest_of, invalid
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
    wanted: dict[str, tuple[str, RunId, TransportName]] = {}
    into: dict[str, str] = {}
    for each in (remote, *carried):
        tips = each.tips(names.SESSION_REFS, names.STATE_BRANCHES, timeout_s=LOOK_S)
        more = {name: of for name, of in _wanted(tips, session, run_id).items() if name not in wanted}
        places = {name: _incoming(of_session, run, way) for name, (of_session, run, way) in more.items()}
        if places:
            each.fetch_all(places, timeout_s=FETCH_S)
        wanted.update(more)
        into.update(places)
    if not wanted:
        return [], []
    fetched = target.repository.refs(names.INCOMING_REFS)
    found: list[Saved] = []
    problems: list[str] = []
    for name, (of_session, run, _) in wanted.items():
        try:
            if (tip := fetched.get(into[name])) is None:
                problems.append(f"{name}: another command removed what was fetched; try again.")
                continue
            found.append(read_saved(target.repository.git, tip, session=of_session, run_id=run))
        except Refused as refusal:
            problems.append(f"{name}: {refusal.message}")
    return _chosen(found, run_id, problems), problems


def _incoming(session: str, run_id: str, way: TransportName) -> str:
    """Returns where a ref of the remote is looked at; a host may hold a run in both ways."""
    return f"{names.INCOMING_REFS}{'' if way == 'ref' else '+branch/'}{session}/{run_id}"


def _wanted(
    tips: Mapping[str, ObjectId], session: str | None, run_id: RunId | None
) -> dict[str, tuple[str, RunId, TransportName]]:
    wanted: dict[str, tuple[str, RunId, TransportName]] = {}
    for name in sorted(tips):
        parts = parse_remote_name(name)
        if parts is None or not is_session_id(parts[0]) or not is_run_id(parts[1]):
            continue
        if session in (None, parts[0]) and run_id in (None, parts[1]):
            wanted[name] = parts[0], RunId(parts[1]), parts[2]
    return wanted


def _chosen(found: list[Saved], run_id: RunId | None, problems: list[str]) -> list[Saved]:
    """Returns the saves of the session that was saved last, each run once; `problems` hears of the others.

    Runs of two sessions that share their id are two runs.
    """
    newest = max(found, key=lambda saved: saved.manifest.at, default=None)
    session = newest.manifest.session if newest else ""
    for other in dict.fromkeys(saved.manifest.session for saved in found) if run_id else ():
        if other != session:
            problems.append(
                f"Another run {run_id} was saved in session {other};"
                f" to see it, in a clone of its own: orchestrator sessions restore {other}"
            )
    best: dict[RunId, Saved] = {}
    of_session = [saved for saved in found if saved.manifest.session == session]
    for saved in sorted(of_session, key=lambda each: (each.manifest.epoch, each.manifest.number)):
        before = best.get(saved.run_id)
        if before is not None and all(before.tip != commit for commit, _ in saved.events):
            problems.append(f"Run {saved.run_id} stands at the remote twice; {before.tip} is left there.")
        best[saved.run_id] = saved
    return list(best.values())


def bring_back(target: Target, found: list[Saved]) -> Restored:
    """Puts runs of one session back where this clone does not know them, and says how they stand.

    Raises:
        Locked: another command just changes the repository, or a process here works on the only run.
        Refused: `.orchestrator/` is not ours to touch; nothing was changed.
        DiskFailed: what was put back so far stays; the same call goes on.
    """
    done = Restored(found[0].manifest.session if found else "")
    if not found:
        forget_incoming(target.repository, target.repository.refs(names.INCOMING_REFS))
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
        refs = refs_here(target.repository, found)
        with StateManager.open(target.paths, create=True, redactor=target.redactor) as state:
            _bring_all_back(target, state, found, refs, done)
        forget_incoming(target.repository, refs)
    return done


def _bring_all_back(
    target: Target,
    state: StateManager,
    found: Sequence[Saved],
    refs: Mapping[str, ObjectId],
    done: Restored,
) -> None:
    """Brings back what can be; of a run that is being worked on here, the others do not hear."""
    for saved in found:
        try:
            _bring_back(target, state, saved, refs, done)
        except (Refused, Locked) as error:
            if isinstance(error, Locked) and len(found) == 1:
                raise
            done.problems.append(f"{saved.run_id}: {error.message}")


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
    try:
        return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else None
    except UnicodeEncodeError:
        return None  # no file was read as that


def _inside(document: JsonObject, *keys: str) -> JsonObject:
    for key in keys:
        inner = document.get(key)
        document = inner if isinstance(inner, Mapping) else {}
    return document


def _bring_back(
    target: Target, state: StateManager, saved: Saved, refs: Mapping[str, ObjectId], done: Restored
) -> None:
    known = _known(state, saved.run_id)
    here = {name: refs[name] for name in ref_names(saved) if name in refs}
    local = here.get(chain_ref(saved.manifest.session, saved.run_id))
    if known and local is not None and is_ancestor(target.repository, saved.tip, local):
        return
    checkpoints = _checkpoints(target, saved)
    document = _here(target, saved, checkpoints)
    _require_usable(target, saved, document, known)
    if known is None and not here and not has_trees(target, saved.run_id):
        _put(target, state, saved, document, checkpoints, here, saved.past, replaces=False)
    else:
        with lock_of_run(target, saved):
            kept = give_way(target, state, saved, known)
            done.kept += [name for name in kept if name not in done.kept]
            now = refs_of(target.repository, saved)
            past = _news(state, saved) if known else saved.past
            _put(target, state, saved, document, checkpoints, now, past, replaces=known is not None)
    done.runs[saved.run_id] = str(state.get_run(saved.run_id).status)


def _put(
    target: Target,
    state: StateManager,
    saved: Saved,
    document: JsonObject,
    checkpoints: Sequence[Checkpoint],
    here: Mapping[str, ObjectId],
    past: Sequence[PastEvent],
    *,
    replaces: bool,
) -> None:
    """Writes everything of a run, the ref that says what our state comes from last."""
    with state.transaction():  # what the state refuses has left no ref; what it names is durable before it
        state.recover_run(document, past=past, replaces=replaces)
        _put_refs(target.repository, saved, here)
        _put_papers(target, saved)
    run = state.get_run(saved.run_id)
    _put_branch(target.repository, saved.run_id, run.metadata.progress)
    checkpoints_of(target).restore_manifest(run.id, checkpoints)
    ref = chain_ref(saved.manifest.session, saved.run_id)
    target.repository.update_ref(ref, saved.tip, here.get(ref))


def _checkpoints(target: Target, saved: Saved) -> tuple[Checkpoint, ...]:
    """Returns the checkpoints that came along, newest first.

    Raises:
        Refused: `save-invalid`, what is called one is none.
    """
    tip = saved.manifest.checkpoint
    listed = checkpoints_of(target).list_from(saved.run_id, tip) if tip else ()
    if tip and not listed:
        raise invalid(saved.run_id, "its checkpoint is none")
    return listed


def _require_usable(target: Target, saved: Saved, document: JsonObject, known: Run | None) -> None:
    """Looks at everything that will be written, before anything is.

    Raises:
        Refused: `document-invalid`, `plan-invalid` or `save-invalid`; `run-id-taken`, a run here is another.
    """
    run = parsed(document).run
    if known is not None and known.created_at != run.created_at:
        raise Refused(
            f"There is another run {saved.run_id} here, and it stays.",
            code="run-id-taken",
            hint="Restore that session in a clone of its own.",
        )
    for _ in saved.contents(target.repository.git, saved.papers):
        pass


def _news(state: StateManager, saved: Saved) -> list[PastEvent]:
    """Returns the events that our state does not have: what happened elsewhere, and no kill let us record."""
    had = Counter((event.at, event.kind) for event in state.events(saved.run_id))
    news = []
    for event in saved.past:
        if had[event.at, event.kind]:
            had[event.at, event.kind] -= 1
        else:
            news.append(event)
    return news


def _known(state: StateManager, run_id: RunId) -> Run | None:
    try:
        return state.get_run(run_id)
    except Refused:
        return None


def _put_refs(repository: Repository, saved: Saved, here: Mapping[str, ObjectId]) -> None:
    """Lets our refs stand where the run stood; its save holds every one of these commits."""
    said, run_id = saved.manifest, saved.run_id
    wanted = {
        names.BASE_REFS + run_id: said.base,
        names.RESULT_REFS + run_id: said.result,
        names.RUN_REFS + run_id: said.checkpoint,
    }
    moves = {
        name: (ObjectId(oid), here.get(name)) for name, oid in wanted.items() if oid and here.get(name) != oid
    }
    if moves:
        repository.update_refs(moves)


def _put_papers(target: Target, saved: Saved) -> None:
    """Writes the papers; another one that is here under the name of one is kept beside it."""
    disk, places = Disk(), {path: target.paths.artifacts_dir / path for path in saved.papers}
    held = {path: digest_of(read_small(place)) for path, place in places.items() if os.path.lexists(place)}
    missing = [path for path, (_, digest) in saved.papers.items() if held.get(path) != digest]
    for path, data in saved.contents(target.repository.git, missing):
        place = places[path]
        disk.make_dir(place.parent)
        if path in held:
            disk.rename(place, place.with_name(f"{place.name}.here-{held[path][:12]}"))
        disk.write(place, data)


def _here(target: Target, saved: Saved, checkpoints: Sequence[Checkpoint]) -> JsonObject:
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
        "executions": [_broken_off(saved, checkpoints, each) for each in listed],
    }


def _broken_off(saved: Saved, checkpoints: Sequence[Checkpoint], execution: Json) -> Json:
    if not isinstance(execution, Mapping) or execution.get("status") != ExecutionStatus.RUNNING:
        return execution
    progress = _inside(execution, "progress")
    if progress.get("process") is None or not checkpoints:
        return execution
    kept = checkpoints[0]
    return {
        **execution,
        "status": str(ExecutionStatus.INTERRUPTED),
        "error": "its machine went away",
        "completed_at": saved.manifest.at.isoformat(),
        "progress": {**progress, "process": None, "checkpoint": kept.commit, "tree": kept.tree},
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
