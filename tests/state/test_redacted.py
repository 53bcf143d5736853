"""Nothing that anybody said gets into the database with a secret in it."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import orchestrator.state
from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.plan import Plan
from orchestrator.model.run import ExecutionProgress, RunProgress, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.state.manager import StateManager
from tests.state.making import FIRST, R1, START, a_plan, a_run

SECRET = "c4n4ry-value\nsecond-line-of-it"
SAID = f"look: {SECRET} and c4n4ry-value, ghp_" + "a1B2" * 9


def _write_everything(state: StateManager) -> None:
    """Says the secret in every text that a verb takes."""
    run = a_run(task=SAID)
    told = RunProgress(waiting_for=SAID, error=SAID, notes=(SAID,))
    run = replace(run, metadata=replace(run.metadata, workflow_yaml=SAID, progress=told))
    phases = tuple(
        replace(phase, name=SAID, description=SAID, verification_criteria=(SAID,))
        for phase in a_plan().phases
    )
    state.create_run(run, Plan.of(phases), max_retries=1)
    state.update_run_status(R1, RunStatus.EXECUTING, progress=told, data={"warning": SAID, SAID: [SAID]})
    state.set_run_progress(R1, told, event=EventKind.RUN_STATUS, data={"x": {"y": [SAID]}})
    execution = state.create_execution(R1, FIRST, attempt=1)
    progress = ExecutionProgress(over=(SAID,), broken=(SAID,), agent_failure=SAID)
    state.set_execution_progress(execution.id, progress, event=EventKind.STEP_FINISHED, data={"f": SAID})
    state.add_finding(execution, Finding(Severity.MAJOR, Category.TEST, SAID, SAID, SAID, SAID), is_new=True)
    asked = state.add_intervention(R1, FIRST, SAID, SAID)
    state.resolve_intervention(asked.id, SAID)
    state.record_event(R1, EventKind.AGENT_SAID, {"text": SAID})
    state.fail_execution(execution.id, SAID)


def _leaked(paths: OrchestratorPaths) -> list[Path]:
    needles = (b"c4n4ry-value", b"second-line-of-it", b"a1B2a1B2")
    files = [path for path in paths.orchestrator_dir.rglob("*") if path.is_file()]
    assert paths.state_file in files
    return [path for path in files if any(needle in path.read_bytes() for needle in needles)]


def test_no_verb_writes_a_secret(paths: OrchestratorPaths) -> None:
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)
    with StateManager.open(paths, create=True, redactor=redactor) as state:
        _write_everything(state)

        leaked_while_open = _leaked(paths)
        summary = repr(state.export_run_summary(R1, run=replace(state.get_run(R1), task=SAID)))
        chain = state.verify_chain()

    assert leaked_while_open == []
    assert _leaked(paths) == []
    assert "c4n4ry" not in summary
    assert "[redacted:TOKEN]" in summary
    assert chain is None


def test_a_run_from_a_document_and_its_past_are_redacted_too(
    paths: OrchestratorPaths, tmp_path: Path
) -> None:
    elsewhere = OrchestratorPaths(tmp_path / "elsewhere")
    with StateManager.open(elsewhere, create=True) as state:
        _write_everything(state)
        summary = state.export_run_summary(R1)
    assert _leaked(elsewhere)
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)

    with StateManager.open(paths, create=True, redactor=redactor) as state:
        state.recover_run(summary, past=[PastEvent(START, EventKind.AGENT_SAID, {"text": SAID})])

    assert _leaked(paths) == []


def test_what_a_finding_is_recognised_by_goes_by_what_is_written(paths: OrchestratorPaths) -> None:
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)
    with StateManager.open(paths, create=True, redactor=redactor) as state:
        state.create_run(a_run(), a_plan(), max_retries=1)
        execution = state.create_execution(R1, FIRST, attempt=1)
        state.add_finding(execution, Finding(Severity.MAJOR, Category.TEST, SAID), is_new=True)
        again = state.create_execution(R1, FIRST, attempt=2)
        recorded = state.get_findings(R1)[0].finding

        resolved = state.resolve_findings_absent_from(again, {recorded.identity})

    assert resolved == 0


def test_only_the_pen_turns_text_into_columns() -> None:
    room = Path(orchestrator.state.__file__).parent
    writers = {"bindable", "dump", "dump_object", "dump_list", "plain"}
    exact = {
        "document.py",  # the document itself, made of what was read from columns
        "operations.py",  # paths, refs and ids that an operation acts on
        "events.py",  # data that the pen has cleaned just before
        "records.py",  # names and paths of our own files
        "phases.py",  # ids of phases
    }
    users = {
        path.name
        for path in room.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in writers
        and isinstance(node.value, ast.Name)
        and node.value.id == "codec"
    }

    assert users - exact == {"pen.py"}
