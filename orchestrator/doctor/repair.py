"""Repairs what can be repaired without losing anything: each by itself, under the locks it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from orchestrator.config.schema import Config
from orchestrator.config.withheld import make_known
from orchestrator.doctor import earlier
from orchestrator.doctor.checks.git import our_ref_locks
from orchestrator.doctor.checks.layout import stale_trees, temporary_files
from orchestrator.doctor.checks.processes import orphans
from orchestrator.doctor.checks.secrets import ignore_file_is_wrong
from orchestrator.doctor.context import Context, run_of_ref
from orchestrator.doctor.diagnosis import counted
from orchestrator.doctor.quick.place import missing_directories
from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import remove_tree
from orchestrator.engine.merging import settle_interrupted
from orchestrator.engine.work import open_work
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import FileLock
from orchestrator.migrate.actions import Plan
from orchestrator.migrate.catalogue import load_catalogue
from orchestrator.migrate.record import State
from orchestrator.model.ids import RunId
from orchestrator.model.run import RunOptions
from orchestrator.ports import Agent
from orchestrator.process import leftovers
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.secretstore.sealing import Sealer
from orchestrator.secretstore.store import Store
from orchestrator.state.layout import keep_ignore_file, rebuild_layout, require_ours
from orchestrator.state.manager import StateManager
from orchestrator.state.ownership import Layout
from orchestrator.takeover.moving import Moved, mover


@dataclass(frozen=True, slots=True)
class Repair:
    """What would be done, in words that follow "would", and the deed; it returns what came of it."""

    check_id: str
    sentence: str
    act: Callable[[Context], str]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of one repair; not `done`: everything is as it was, and `said` gives the reason."""

    done: bool
    said: str


def plan_repairs(context: Context, check_ids: set[str]) -> tuple[Repair, ...]:
    """Returns the repairs for the chosen checks, in the order in which they must be made; changes nothing.

    Where something cannot be looked at, there is nothing to repair.
    """
    planned = []
    for plan in _PLANS:
        try:
            planned += [repair for repair in plan(context) if repair.check_id in check_ids]
        except (OrchestratorError, OSError):
            continue
    return tuple(planned)


def repair(context: Context, planned: Repair) -> Repaired:
    """Makes one repair and returns what came of it; a kill in the middle leaves it for a second call."""
    try:
        said = planned.act(context)
    except (OrchestratorError, OSError) as error:
        return Repaired(False, f"{planned.sentence}: {getattr(error, 'message', error)}")
    finally:
        _look_again(context)
    return Repaired(True, said)


def _look_again(context: Context) -> None:
    context.close()
    for fact in (
        context.ownership,
        context.refs,
        context.loaded,
        context.runs,
        context.living,
        context.trees,
        context.standing,
        context.checkpoints,
    ):
        fact.forget()


def _interrupted(context: Context) -> Iterator[Repair]:
    found = context.interrupted_migration()
    if found is not None:
        way = {State.ROLLING_BACK: "finish taking back", State.FINALIZING: "finish finalizing"}
        verb = way.get(State(found.state), "finish")
        yield Repair("legacy-interrupted", f"{verb} the migration {found.id}", _resume)


def _resume(context: Context) -> str:
    moved = mover(context.located(), context.environment, load_catalogue()).resume()
    return _told(moved, "finished")


def _earlier_state(context: Context) -> Iterator[Repair]:
    migration = earlier.safe_migration(context.located(), context.environment)
    if migration is not None:
        count = counted(len(migration.plan.steps), "entry", "entries")
        sentence = f"move {count} of an earlier orchestrator into {context.directory()} ({migration.plan.id})"
        yield Repair("legacy-state", sentence, partial(_migrate, migration.plan))


def _migrate(plan: Plan, context: Context) -> str:
    moved = mover(context.located(), context.environment, load_catalogue()).migrate(shown=plan)
    return _told(moved, "made")


def _told(moved: Moved, verb: str) -> str:
    plan = moved.outcome.plan
    if plan is None or moved.outcome.did == "nothing":
        return "another process has finished the migration by now"
    if moved.outcome.did == "rolled-back":
        return f"took the migration {plan.id} back"
    taken = [run for report in moved.takeovers.values() for run in report.imported]
    also = f" and took over {counted(len(taken), 'run')}" if taken else ""
    back = f"take it back with: orchestrator migrate --rollback {plan.id}"
    return f"{verb} the migration {plan.id}{also}; {back}"


def _directories(context: Context) -> Iterator[Repair]:
    missing = [f"{name}/" for name in missing_directories(context)]
    paths = context.require_ours()
    if not paths.ignore_file.is_file():
        yield Repair("layout-ignored", f"write {paths.ignore_file} again", _make_missing)
    if missing:
        yield Repair("layout-complete", f"make {', '.join(missing)} again", _make_missing)


def _ignored_secrets(context: Context) -> Iterator[Repair]:
    if ignore_file_is_wrong(context):
        yield Repair("secrets-shared", f"correct {context.paths().ignore_file}", _correct_ignore_file)


def _correct_ignore_file(context: Context) -> str:
    committed = context.loaded().config.secrets.mode == "committed"
    keep_ignore_file(context.require_ours(), Disk(), committed=committed)
    return f"the ignore file lets encrypted secrets {'through' if committed else 'no longer through'}"


def _make_missing(context: Context) -> str:
    context.ownership.forget()
    made = rebuild_layout(context.require_ours(), Disk(), repo_id="", workflow_yaml=None)
    return f"made {', '.join(made)}" if made else "all of it is there by now"


def _schema(context: Context) -> Iterator[Repair]:
    try:
        context.state()
    except Refused as refusal:
        cut_off = refusal.code == "state-missing" and os.path.lexists(context.paths().state_file)
        if cut_off or refusal.code == "state-older":
            yield Repair("state-database", "convert the database to this version, after a backup", _convert)


def _convert(context: Context) -> str:
    StateManager.open(context.require_ours()).close()
    return "converted the database; the old one is in backups/"


def _processes(context: Context) -> Iterator[Repair]:
    found = orphans(context)
    if found:
        numbers = ", ".join(str(each.pid) for each in found)
        yield Repair("processes-leftover", f"end the processes {numbers}", _end_orphans)


def _end_orphans(context: Context) -> str:
    found = orphans(context)
    stubborn = [each for each in found if not leftovers.end(each)]
    if stubborn:
        raise Refused(f"pid {stubborn[0].pid} does not end.", code="process-stays", hint="")
    return f"ended {counted(len(found), 'process', 'processes')}"


def _ref_locks(context: Context) -> Iterator[Repair]:
    if context.living():
        return
    for name in our_ref_locks(context):
        yield Repair("git-ref-locks", f"remove the lock at {name}", partial(_clear_ref_lock, name))


def _clear_ref_lock(name: str, context: Context) -> str:
    with _run_lock(context, run_of_ref(name)[1]):
        context.repository().clear_stale_lock(name)
    return f"removed the lock at {name}"


def _operations(context: Context) -> Iterator[Repair]:
    for operation in context.state().intended_operations():
        sentence = f"finish or take back the {operation.kind} {operation.id}"
        yield Repair("state-operations", sentence, _settle)
        return


def _settle(context: Context) -> str:
    with _opened(context) as engine:
        return " ".join(settle_interrupted(engine)) or "a living process is just finishing it"


def _trees(context: Context) -> Iterator[Repair]:
    for tree in stale_trees(context):
        yield Repair("layout-trees", f"remove {tree.path} behind a checkpoint", partial(_remove_tree, tree))


def _remove_tree(tree: IsolatedTree, context: Context) -> str:
    with _run_lock(context, tree.run_id), _opened(context) as engine:
        work = open_work(engine, tree.run_id, lambda: False)
        remove_tree(work, "put away by doctor")
    return f"removed {tree.path}; what it held: orchestrator checkpoints {tree.run_id}"


def _temporary(context: Context) -> Iterator[Repair]:
    found = temporary_files(context)
    if found:
        yield Repair("layout-temporary", f"remove {counted(len(found), 'temporary file')}", _sweep)


def _sweep(context: Context) -> str:
    disk = Disk()
    swept = sum(disk.sweep_temp(place) for place in {path.parent for path in temporary_files(context)})
    return f"removed {counted(swept, 'temporary file')} of killed commands"


_PLANS: tuple[Callable[[Context], Iterator[Repair]], ...] = (
    _interrupted,
    _directories,
    _ignored_secrets,
    _schema,
    _processes,
    _ref_locks,
    _operations,
    _trees,
    _temporary,
    _earlier_state,
)
"""In the order in which repairs must be made."""


@contextmanager
def _run_lock(context: Context, run_id: RunId) -> Iterator[None]:
    lock = FileLock(
        context.paths().run_lock(run_id), what=f"run {run_id}", command="orchestrator doctor --fix"
    )
    with lock:
        yield


@contextmanager
def _opened(context: Context) -> Iterator[EngineContext]:
    """Yields the engine's view of this repository with the state open for writing; it starts no agent."""
    paths = context.require_ours()
    layout: Layout = require_ours(paths)
    trusted = context.loaded.peek() is not None and context.is_trusted()
    repository = Repository(context.located(), trusted=trusted)
    trees = IsolatedTrees(repository, context.trees().root)
    redactor = _redactor(context)
    state = StateManager.open(paths, redactor=redactor)
    try:
        yield EngineContext(
            paths=paths,
            located=context.located(),
            disk=Disk(),
            state=state,
            repository=repository,
            trees=trees,
            checkpoints=Checkpoints(repository, paths, trees),
            agents=_no_agent,
            secrets=_no_secret,
            sealer=Sealer(_no_store, context.environment, Disk()),
            environment=context.environment,
            repo_id=layout.repo_id,
            redactor=redactor,
            config=None,
        )
    finally:
        state.close()


def _no_secret(
    names: tuple[str, ...], *, config: Config, overrides: Mapping[str, str], passed: tuple[str, ...]
) -> dict[str, str]:
    raise Refused("doctor hands out no secrets.", code="no-agent", hint="orchestrator resume")


def _no_store() -> Store:
    raise Refused("doctor encrypts nothing.", code="no-agent", hint="orchestrator resume")


def _redactor(context: Context) -> Redactor:
    loaded = context.loaded.peek()
    return Redactor() if loaded is None else make_known(loaded.config, Redactor())


def _no_agent(name: str | None, *, config: Config, options: RunOptions, model: str | None) -> Agent:
    raise Refused("doctor starts no agent.", code="no-agent", hint="orchestrator resume")
