"""Runs the configured checks on one tree: the entry point for the engine is `check_tree`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from orchestrator.config.schema import Limits as LimitsConfig
from orchestrator.config.schema import Verify, Worktrees
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.process.command import Ended, Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.finding import redacted
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.verify.bring import digest_of, files_to_bring
from orchestrator.verify.clean import DIRECTORY, NotReady, clean_tree, prepare
from orchestrator.verify.outcome import Check, CheckOutcome, CheckReport, Receipt
from orchestrator.verify.receipts import environment_fingerprint, receipt_for, reusable, reused
from orchestrator.verify.running import Process, Runner, run_check
from orchestrator.verify.watch import TreeWatch

_MAX_CHANGED = 20


@dataclass(frozen=True, slots=True)
class SetupStarted:
    """A setup command is about to run."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckStarted:
    """A check is about to run."""

    check: Check


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """A process exists and is held until the handler of this event returns, so that it can be recorded."""

    process: Process


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """A check has ended, or its receipt was used."""

    outcome: CheckOutcome


CheckEvent = SetupStarted | CheckStarted | ProcessStarted | CheckFinished


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to check, with what, and within which bounds.

    `tree` is the git tree object the checks are about. `worktree` is the directory where the agent worked and
    is used only with `where: worktree`; None always means a clean tree. `label` (`head`, `base`) begins the
    names of output files below `artifacts`. `variables` are added to the minimal environment. `deadline` is a
    moment of `time.monotonic()`; `receipts` those this run has collected; `redactor` takes secrets
    out of all that checks print and complain about.
    """

    trees: IsolatedTrees
    run_id: RunId
    tree: ObjectId
    verify: Verify
    worktrees: Worktrees
    artifacts: Path
    marker: str
    label: Literal["head", "base", "merged", "tree"] = "head"
    worktree: Path | None = None
    timeout_s: float = 3600.0
    idle_timeout_s: float | None = None
    deadline: float | None = None
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    variables: Mapping[str, str] = field(default_factory=dict)
    receipts: frozenset[Receipt] = frozenset()
    redactor: Redactor = field(default_factory=Redactor)


def configured_checks(verify: Verify) -> tuple[Check, ...]:
    """Returns the checks of a configuration in the order in which they run: builds first."""
    return tuple(
        Check(category, entry.run, entry.report, entry.parse, number)
        for category in Category
        for number, entry in enumerate(getattr(verify, category.value), start=1)
    )


def check_tree(
    request: CheckRequest,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[CheckEvent], None] = lambda event: None,
) -> CheckReport:
    """Runs every configured check on exactly `request.tree` and returns what each said.

    A check that has a receipt for this tree and environment is not run again. Tracked files that a check
    changes are reported as minor findings and put back before the next one (not in an agent's worktree); the
    tree object itself cannot change. All processes are gone when this returns, also by an error that
    `on_event` raises. The caller holds the run's lock. A kill leaves the clean tree, which the next call
    makes anew.

    Raises:
        DiskFailed, GitFailed: the clean tree or an output file cannot be written.
    """
    return _Checking(request, cancelled, on_event).report()


def make_ready(
    request: CheckRequest,
    tree: IsolatedTree,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[CheckEvent], None] = lambda event: None,
) -> NotReady | None:
    """Brings files into an agent's tree and runs setup there, before the agent starts; does so once per tree.

    Of the request the checks, the tree hash and the receipts are not looked at. Returns why the tree is not
    ready; the next call then tries again.

    Raises:
        DiskFailed: a file cannot be written.
    """
    return _Checking(request, cancelled, on_event).make_ready(tree)


class _Checking:
    def __init__(
        self, request: CheckRequest, cancelled: Callable[[], bool], on_event: Callable[[CheckEvent], None]
    ) -> None:
        self._request = request
        self._tell = on_event
        self._checks = configured_checks(request.verify)
        self._environment = minimal_environment(request.variables)
        self._runner = Runner(
            tree=Path(),
            environment=self._environment,
            marker=request.marker,
            artifacts=request.artifacts,
            label=request.label,
            timeout_s=request.timeout_s,
            idle_timeout_s=request.idle_timeout_s,
            deadline=request.deadline,
            limits=process_limits(request.limits),
            on_process=lambda process: on_event(ProcessStarted(process)),
            cancelled=cancelled,
            redactor=request.redactor,
        )
        self._changed_before: set[str] = set()
        self._in_place = request.verify.where == "worktree" and request.worktree is not None

    def report(self) -> CheckReport:
        """Runs what has no receipt."""
        request = self._request
        prints = self._fingerprints()
        known = reusable(self._checks, prints, request.tree, request.receipts)
        if all(check.key in known for check in self._checks):
            outcomes = tuple(self._reuse(check, known[check.key]) for check in self._checks)
            return self._reported(outcomes, prints)
        with self._place() as (directory, watch, problem):
            if problem is not None:
                return self._reported((), prints, problem)
            runner = replace(self._runner, tree=directory)
            outcomes = tuple(self._run_all(runner, watch, known))
        return self._reported(outcomes, prints)

    def make_ready(self, tree: IsolatedTree) -> NotReady | None:
        """Makes an agent's tree ready."""
        return prepare(self._request.trees.repository, tree, self._request.worktrees, self._set_up)

    def _run_all(
        self, runner: Runner, watch: TreeWatch, known: Mapping[str, Receipt]
    ) -> Iterator[CheckOutcome]:
        for check in self._checks:
            if check.key in known:
                yield self._reuse(check, known[check.key])
                continue
            if runner.cancelled() or runner.out_of_time():
                return
            self._tell(CheckStarted(check))
            outcome = run_check(check, runner)
            if outcome is None:
                return
            outcome = self._with_changes(outcome, watch)
            self._tell(CheckFinished(outcome))
            yield outcome

    def _reuse(self, check: Check, receipt: Receipt) -> CheckOutcome:
        outcome = reused(check, receipt)
        self._tell(CheckFinished(outcome))
        return outcome

    def _with_changes(self, outcome: CheckOutcome, watch: TreeWatch) -> CheckOutcome:
        changed = tuple(name for name in watch.changed() if name not in self._changed_before)
        if not changed:
            return outcome
        if self._in_place:
            self._changed_before.update(changed)
        else:
            watch.put_back(changed)
        told = (_changed_file(outcome.check, name) for name in changed[:_MAX_CHANGED])
        notes = tuple(redacted(finding, self._request.redactor) for finding in told)
        return replace(outcome, findings=outcome.findings + notes)

    @contextmanager
    def _place(self) -> Iterator[tuple[Path, TreeWatch, NotReady | None]]:
        request = self._request
        if self._in_place and request.worktree is not None:
            sidecar = request.trees.root / DIRECTORY / request.run_id
            watch = TreeWatch(request.trees.repository, request.worktree, request.tree, sidecar)
            watch.make_index()
            self._changed_before = set(watch.changed())
            directory, problem = request.worktree, None
        else:
            made, watch, problem = clean_tree(
                request.trees, request.run_id, request.tree, request.worktrees, self._set_up
            )
            directory = made.path
        try:
            yield directory, watch, problem
        finally:
            watch.close()

    def _set_up(self, argv: tuple[str, ...], directory: Path, name: str) -> tuple[Ended, Path]:
        self._tell(SetupStarted(argv))
        output = self._runner.fresh_path(name, ".log")
        return replace(self._runner, tree=directory).run(argv, output), output

    def _fingerprints(self) -> dict[str, str]:
        request = self._request
        repository = request.trees.repository
        brought = files_to_bring(repository, request.worktrees.bring)
        setup = [list(request.worktrees.setup), digest_of(repository.checkout, brought)]
        place = "worktree" if self._in_place else "clean"
        return {
            check.key: environment_fingerprint(check, self._environment, place=place, setup=setup)
            for check in self._checks
        }

    def _reported(
        self, outcomes: tuple[CheckOutcome, ...], prints: Mapping[str, str], problem: NotReady | None = None
    ) -> CheckReport:
        tree = self._request.tree
        receipts = (receipt_for(outcome, tree, prints[outcome.check.key]) for outcome in outcomes)
        failed = problem is not None and not problem.cancelled
        return CheckReport(
            tree=tree,
            outcomes=outcomes,
            receipts=tuple(receipt for receipt in receipts if receipt is not None),
            setup_failure=problem.reason if problem is not None and failed else None,
            complete=failed or len(outcomes) == len(self._checks),
        )


def _changed_file(check: Check, name: str) -> Finding:
    shown = os.fsencode(name).decode("utf-8", "replace")
    message = f"{check.name} changes {shown}, which is tracked; the result does not contain that change."
    return Finding(Severity.MINOR, check.category, message, location=shown, rule="tree-changed")


def process_limits(config: LimitsConfig) -> Limits:
    """Returns the configured limits as `process` takes them."""
    return Limits(config.memory_mb, config.cpu_s, config.processes, config.disk_mb)
