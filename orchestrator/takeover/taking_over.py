"""Makes runs and configuration of ours from what a migration kept: journalled, repeatable, nothing lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.config.frozen import thaw
from orchestrator.errors import Refused, StateDamaged
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import FileLock
from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import document
from orchestrator.state.document import RunDocument
from orchestrator.state.manager import StateManager
from orchestrator.takeover import configuration, past, task_run, translation
from orchestrator.takeover.approvals import LegacyApproval
from orchestrator.takeover.gathering import Copies, Gathered, gather
from orchestrator.takeover.journal import Journal, Record
from orchestrator.takeover.original import Original, Problem, UnknownKey
from orchestrator.takeover.tasks import TaskList
from orchestrator.takeover.translation import Ground
from orchestrator.takeover.workflow import Standing, Workflow

_SCRATCH = "takeover"
LOCK = "takeover.lock"
"""Its name in `locks/`."""


@dataclass(frozen=True, slots=True)
class TakeoverReport:
    """What a takeover did. `known` are runs that an earlier one made; `config` is the file written, if any.

    `deferred` says why the runs wait: nothing of them was imported, and the next call does it.
    """

    imported: tuple[RunId, ...] = ()
    known: tuple[RunId, ...] = ()
    resumable: tuple[RunId, ...] = ()
    config: Path | None = None
    skipped: tuple[Problem, ...] = ()
    unknown_keys: tuple[UnknownKey, ...] = ()
    problems: tuple[Problem, ...] = ()
    deferred: str | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A run to be, with what happened before."""

    found: RunDocument
    past: tuple[PastEvent, ...]
    source: str

    @property
    def id(self) -> RunId:
        return self.found.run.id


def take_over(
    originals: Sequence[Original],
    *,
    paths: OrchestratorPaths,
    state: StateManager | None,
    disk: Disk,
    journal: Path,
    base: ObjectId | None,
    branch: str | None,
    config_json: Callable[[], str],
    workflow_yaml: Callable[[], str | None] = lambda: None,
    again: bool = False,
) -> TakeoverReport:
    """Translates the old configuration, then imports each workflow as a run; says what it left out.

    `journal` is `migrations/<id>/takeover.jsonl`. `base` and `branch` are where the checkout stands; None
    without a commit. `config_json` (what `config.frozen.freeze` gives) and `workflow_yaml` are asked once the
    translated configuration lies in its place. `state` None, or one that turns out damaged, defers the runs.

    Each run is one transaction and its id derives from the earlier one: a kill at any moment, and a repeated
    call, change nothing that is there. With `again` finished runs are looked for once more, for a database
    that was rebuilt.

    Raises:
        Refused: `takeover-journal-damaged`.
        Locked: another takeover is at work, or another process keeps writing to the database.
        DiskFailed, StateLost: what was reached stays; call again.
    """
    with _lock(paths), _scratch(paths, disk) as copies:
        book = Journal(journal, disk)
        report = _take_configuration(originals, paths, copies, book)
        if book.is_done("runs") and not again:
            return report
        if state is None:
            return replace(report, deferred="The database cannot be read yet.")
        gathered = gather(originals, copies)
        ground = _ground(paths, base, branch, config_json(), workflow_yaml())
        return _take_runs(state, gathered, ground, report, book)


def _take_runs(
    state: StateManager, gathered: Gathered, ground: Ground, report: TakeoverReport, book: Journal
) -> TakeoverReport:
    report = replace(
        report,
        skipped=(*report.skipped, *gathered.skipped),
        problems=(*report.problems, *gathered.problems),
    )
    try:
        report = _import(state, gathered, ground, report)
    except StateDamaged as error:
        return replace(report, deferred=error.message)
    if not book.is_done("runs"):
        book.append("runs", "done")
    return report


def clear_scratch(paths: OrchestratorPaths, disk: Disk) -> None:
    """Removes the copies that a killed takeover left, if there are any.

    Raises:
        Locked: another takeover is at work with them. DiskFailed: call again.
    """
    if os.path.lexists(paths.tmp_dir / _SCRATCH):
        with _lock(paths):
            disk.remove_tree(paths.tmp_dir / _SCRATCH)


def _lock(paths: OrchestratorPaths) -> FileLock:
    return FileLock(paths.locks_dir / LOCK, what="The takeover", command="orchestrator migrate")


@contextmanager
def _scratch(paths: OrchestratorPaths, disk: Disk) -> Iterator[Copies]:
    """Yields an empty directory for copies, removed at the end; what a kill leaves the next call removes."""
    scratch = paths.tmp_dir / _SCRATCH
    disk.remove_tree(scratch)
    disk.make_dir(scratch)
    try:
        yield Copies(disk, scratch)
    finally:
        disk.remove_tree(scratch)


def take_back(journal: Path, *, paths: OrchestratorPaths, disk: Disk) -> tuple[Problem, ...]:
    """Removes the configuration that a takeover wrote, for a rollback; one changed since is kept and told.

    Runs stay in our database. Repeating it changes nothing.

    Raises:
        Refused: `takeover-journal-damaged`.
        DiskFailed: what was reached stays; call again.
    """
    book = Journal(journal, disk)
    last = book.last("config")
    if last is None or last.state == "taken-back":
        return ()
    kept: tuple[Problem, ...] = ()
    if last.target is not None:
        path = paths.base_dir / last.target
        if _digest(path) == last.sha256:
            disk.remove(path)
        elif os.path.lexists(path):
            kept = (Problem(last.target, "was changed since it was translated; it is kept"),)
    book.append("config", "taken-back")
    return kept


def _take_configuration(
    originals: Iterable[Original], paths: OrchestratorPaths, copies: Copies, book: Journal
) -> TakeoverReport:
    made = configuration.translate(originals, copies.scratch)
    report = TakeoverReport(unknown_keys=made.unknown, problems=made.problems)
    last = book.last("config")
    if last is not None and last.state == "done":
        return replace(report, config=paths.base_dir / last.target if last.target else None)
    text = made.text or _intended_stand_in(paths, last)
    if not text:
        book.append("config", "done")
        return report
    digest = hashlib.sha256(text.encode()).hexdigest()
    chosen = _free_place(paths, last, digest)
    if chosen is None:
        book.append("config", "done")
        there = _relative(paths, paths.proposed_config_file)
        taken = Problem(there, "is there already with other contents; it was kept")
        return replace(report, problems=(*report.problems, taken))
    target = _relative(paths, chosen)
    book.append("config", "intended", target=target, sha256=digest)
    if _digest(chosen) != digest:
        copies.disk.write(chosen, text.encode())
    book.append("config", "done", target=target, sha256=digest)
    return replace(report, config=chosen)


def _intended_stand_in(paths: OrchestratorPaths, last: Record | None) -> str:
    """Returns the stand-in for W's file, also where a kill came between writing it and saying so."""
    return configuration.stand_in(paths) or (
        configuration.STAND_IN if last and last.state == "intended" else ""
    )


def _free_place(paths: OrchestratorPaths, last: Record | None, digest: str) -> Path | None:
    """Returns where the text goes: where an earlier call meant it to, unless something else stands there."""
    intended = paths.base_dir / last.target if last and last.target else configuration.target(paths)
    for place in dict.fromkeys((intended, paths.proposed_config_file)):
        if not os.path.lexists(place) or _digest(place) == digest:
            return place
    return None


def _relative(paths: OrchestratorPaths, path: Path) -> str:
    return path.relative_to(paths.base_dir).as_posix()


def _digest(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ground(
    paths: OrchestratorPaths,
    base: ObjectId | None,
    branch: str | None,
    config: str,
    workflow_yaml: str | None,
) -> Ground:
    return Ground(
        base=base,
        branch=branch,
        checkout=os.path.realpath(paths.base_dir),
        config=config,
        workflow_yaml=workflow_yaml,
        max_retries=thaw(config).execution.max_retries,
        now=datetime.now(UTC),
    )


def _import(
    state: StateManager, gathered: Gathered, ground: Ground, report: TakeoverReport
) -> TakeoverReport:
    imported, known, problems = list[RunId](), list[RunId](), list(report.problems)
    candidates, remarks = _candidates(gathered, ground)
    problems += remarks
    for candidate in candidates:
        try:
            is_new = state.recover_run(
                document.exported(candidate.found), kind=EventKind.RUN_IMPORTED, past=candidate.past
            )
        except Refused as error:
            problems.append(Problem(candidate.source, f"cannot become a run: {error.message}"))
            continue
        if is_new:
            imported.append(candidate.id)
        elif state.get_run(candidate.id).metadata.trace_id == candidate.found.run.metadata.trace_id:
            known.append(candidate.id)
        else:
            problems.append(Problem(candidate.source, f"its run id {candidate.id} is another run's"))
    waiting = (c.id for c in candidates if c.found.run.status == "waiting" and c.id in imported)
    return replace(
        report,
        imported=tuple(imported),
        known=tuple(known),
        resumable=tuple(waiting),
        problems=tuple(problems),
    )


def _candidates(gathered: Gathered, ground: Ground) -> tuple[list[_Candidate], list[Problem]]:
    """Returns the runs to be, oldest first, and what of the past is too long or belongs to none."""
    workflows, problems = gathered.workflows(), list[Problem]()
    asking = _asking(workflows)
    if gathered.approvals and asking is None:
        count = len(gathered.approvals)
        problems.append(Problem(".workflow_approvals.db", f"its {count} approvals belong to no workflow"))
    found = []
    for workflow in workflows:
        approvals = tuple(gathered.approvals) if workflow is asking else ()
        found.append(_of_workflow(workflow, approvals, gathered, ground, problems))
    found += [_of_tasks(each, gathered, ground, problems) for each in _distinct(gathered.task_lists)]
    return found, problems


def _asking(workflows: list[Workflow]) -> Workflow | None:
    """Returns the workflow whose agents asked: W's queue names none, so it is the newest that is open."""
    still_open = [each for each in workflows if each.standing is Standing.ACTIVE]
    return next(reversed(still_open or workflows), None)


def _of_workflow(
    workflow: Workflow,
    approvals: tuple[LegacyApproval, ...],
    gathered: Gathered,
    ground: Ground,
    problems: list[Problem],
) -> _Candidate:
    made = translation.translated(workflow, approvals, ground)
    happened, left_out = past.of_workflow(
        workflow,
        gathered.events.get(workflow.id, ()),
        gathered.checkpoints.get(workflow.id, ()),
        gathered.feedback.get(workflow.id, ()),
        made.run.created_at,
    )
    _note_left_out(problems, workflow.source, left_out)
    return _Candidate(made, happened, workflow.source)


def _of_tasks(found: TaskList, gathered: Gathered, ground: Ground, problems: list[Problem]) -> _Candidate:
    made = task_run.translated(found, ground)
    ours = {task.id for task in found.tasks}
    uses = [use for use in gathered.tool_uses if use.task_id in ours]
    happened, left_out = past.of_tasks(uses, made.run.created_at)
    _note_left_out(problems, found.source, left_out)
    return _Candidate(made, happened, found.source)


def _note_left_out(problems: list[Problem], source: str, count: int) -> None:
    if count:
        problems.append(Problem(source, f"{count} of its oldest events are in the original only"))


def _distinct(found: list[TaskList]) -> list[TaskList]:
    """Returns each list of tasks once, the longest account of it."""
    longest: dict[str, TaskList] = {}
    for each in sorted(found, key=lambda one: len(one.tasks) + one.left_out):
        longest[task_run.key(each)] = each
    return list(longest.values())
