"""What W did is shown by our own records, once, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.report import build_report, render_markdown
from orchestrator.errors import DiskFailed, Locked, Refused
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.record import InterventionStatus
from orchestrator.model.run import ExecutionStatus, Outcome, PhaseStatus, RunStatus
from orchestrator.state.manager import StateManager
from orchestrator.takeover.original import Original
from orchestrator.takeover.taking_over import LOCK, take_back
from orchestrator.takeover.translation import NO_BASE, WAITING_FOR
from tests.sampling import EVERY, points
from tests.takeover import w_files
from tests.takeover.conftest import BASE, Taker, new_taker

RUN = RunId(w_files.RUN)


class PowerCut(BaseException):
    """The machine loses power; nothing in the product may catch it."""


def test_an_unfinished_workflow_becomes_a_run_that_waits_for_a_person(taker: Taker) -> None:
    report = taker.take_over(w_files.write_everything(taker.place))

    run = taker.known().get_run(RUN)
    assert RUN in report.imported
    assert report.resumable == (RUN,)
    assert run.status is RunStatus.WAITING
    assert run.task == "Teach app.py to say good"
    assert run.created_at.isoformat() == "2026-01-07T04:27:48.406480+00:00"
    assert run.metadata.progress.waiting_for == WAITING_FOR
    assert (run.metadata.origin.base, run.metadata.origin.branch) == (BASE, "refs/heads/main")
    assert not run.metadata.trusted


def test_finished_phases_are_completed_and_the_others_are_its_plan(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    phases = taker.known().get_phases_for_run(RUN)
    executions = taker.known().get_executions(RUN)
    assert [(phase.id, phase.status.value) for phase in phases] == [
        ("PLAN", "completed"),
        ("EXECUTE", "pending"),
        ("REVIEW", "pending"),
        ("VERIFY", "pending"),
        ("LEARN", "pending"),
    ]
    assert phases[1].plan.name == "Execute the work"
    assert "Still to do:\n- Execute it: Do the work." in phases[1].plan.description
    assert phases[1].plan.verification_criteria == ("`make test` succeeds",)
    assert [(e.phase_id, e.status) for e in executions] == [("PLAN", ExecutionStatus.SUCCEEDED)]


def test_the_log_of_the_old_work_is_the_log_of_the_run_with_its_old_times(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    events = taker.known().events(RUN)
    assert [event.kind for event in events if event.data.get("earlier_kind")] == [
        EventKind.RUN_IMPORTED,
        EventKind.PHASE_STARTED,
        EventKind.RUN_IMPORTED,
        EventKind.AGENT_SAID,
        EventKind.RUN_IMPORTED,
        EventKind.CHECK_FINISHED,
    ]
    assert all(event.data["imported"] is True for event in events[:-1])
    assert all(event.at.year == 2026 and event.at.month == 1 for event in events[:-1])
    assert events[-1].kind is EventKind.RUN_IMPORTED
    assert any("Tests come first" in str(event.data) for event in events)
    assert any("Plan is ready" in str(event.data) for event in events)
    assert taker.known().verify_chain() is None


def test_report_shows_the_old_work(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    text = render_markdown(build_report(taker.known(), RUN))

    assert "Teach app.py to say good" in text
    assert "Taken over from workflow-orchestrator" in text
    assert "python -m pytest" in text


def test_outputs_and_file_contents_of_the_old_work_are_not_taken_over(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    state = taker.known()
    everything = [
        str(state.events(run.id)) + str(state.export_run_summary(run.id)) for run in state.list_runs()
    ]
    assert "hunter2" not in "".join(everything)


def test_a_workflow_known_from_the_log_alone_is_a_run_too(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    [old] = [run for run in taker.known().list_runs() if run.task == "An older task"]
    assert old.status is RunStatus.COMPLETED
    assert old.metadata.progress.outcome is Outcome.UNVERIFIED
    assert old.id.startswith("w-wf-0ld0ld00-")


def test_approvals_become_questions_to_a_person_open_only_while_undecided(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    asked = taker.known().get_interventions(RUN)
    approvals = [one for one in asked if "asked:" in one.reason]
    assert [(one.status, one.phase_id, one.note) for one in approvals] == [
        (InterventionStatus.OPEN, "EXECUTE", None),
        (InterventionStatus.RESOLVED, "PLAN", "approved: fine"),
        (InterventionStatus.RESOLVED, "PLAN", "rejected: never"),
    ]
    assert approvals[0].reason == "task-1 asked: Change setup.py (risk: high)"


def test_tasks_of_the_third_generation_are_told_apart_by_content(taker: Taker) -> None:
    taker.take_over(w_files.write_everything(taker.place))

    [run] = [run for run in taker.known().list_runs() if "tasks" in run.task]
    phases = taker.known().get_phases_for_run(run.id)
    assert run.status is RunStatus.CANCELLED
    assert [phase.status for phase in phases] == [PhaseStatus.COMPLETED, PhaseStatus.SKIPPED]
    assert [e.data["tool"] for e in taker.known().events(run.id) if e.kind is EventKind.AGENT_TOOL] == [
        "read_files"
    ]


def test_taking_over_twice_changes_nothing(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)
    first = taker.take_over(originals)
    before = account(taker)

    second = taker.take_over(originals)
    third = taker.take_over(originals, again=True)

    assert account(taker) == before
    assert second.imported == third.imported == ()
    assert set(third.known) == set(first.imported)


def test_the_newest_account_of_a_workflow_counts(taker: Taker) -> None:
    w_files.write_json(taker.place / "old.json", a_state_updated("2026-01-07T04:00:00Z", "PLAN"))
    w_files.write_json(taker.place / "new.json", a_state_updated("2026-01-07T05:00:00Z", "VERIFY"))

    taker.take_over(w_files.originals(taker.place, {"new.json": "state", "old.json": "debris"}))

    done = [p.id for p in taker.known().get_phases_for_run(RUN) if p.status is PhaseStatus.COMPLETED]
    assert done == ["PLAN", "EXECUTE", "REVIEW"]


def test_a_log_that_goes_on_after_the_state_was_written_decides(taker: Taker) -> None:
    w_files.write_json(taker.place / ".workflow_state.json", w_files.a_state())
    end = w_files.an_event("workflow_abandoned", "given up", timestamp="2026-01-08T00:00:00Z")
    w_files.write_lines(taker.place / ".workflow_log.jsonl", [end])

    taker.take_over(
        w_files.originals(taker.place, {".workflow_state.json": "state", ".workflow_log.jsonl": "log"})
    )

    run = taker.known().get_run(RUN)
    assert run.status is RunStatus.CANCELLED
    assert run.metadata.progress.error == "It was given up before it was taken over."


def test_without_a_commit_nothing_can_be_gone_on_with(taker: Taker) -> None:
    taker.base = None

    report = taker.take_over(w_files.write_everything(taker.place))

    run = taker.known().get_run(RUN)
    assert report.resumable == ()
    assert run.status is RunStatus.CANCELLED
    assert run.metadata.origin.base == NO_BASE
    assert "no commit to go on from" in " ".join(run.metadata.progress.notes)


def test_a_run_of_the_same_id_that_is_another_is_told(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)
    taker.take_over(originals)
    summary: JsonObject = json.loads(json.dumps(taker.known().export_run_summary(RUN)))
    taker.known().close()
    other = new_taker(taker.root.parent / "other")
    run = summary["run"]
    assert isinstance(run, dict)
    run["metadata"]["trace_id"] = "mine"
    other.known().recover_run({**summary, "phases": [], "executions": [], "interventions": []})

    report = other.take_over(w_files.write_everything(other.place))

    assert "its run id w-c7f12380 is another run's" in [problem.sentence for problem in report.problems]
    other.known().close()


def test_an_unreadable_database_defers_the_runs_until_it_is_back(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)
    state, taker.state = taker.state, None

    deferred = taker.take_over(originals)
    taker.state = state
    report = taker.take_over(originals)

    assert deferred.deferred is not None
    assert deferred.config == taker.paths.config_file
    assert RUN in report.imported
    assert report.deferred is None


def test_what_holds_nothing_of_a_run_is_named(taker: Taker) -> None:
    w_files.write_json(taker.place / ".claude/prd_state.json", {"jobs": []})
    (taker.place / "gone.json").symlink_to("/etc/passwd")
    (taker.place / "torn.jsonl").write_text(json.dumps(w_files.an_event("note_added", "x")) + '\n{"half')

    report = taker.take_over(
        w_files.originals(
            taker.place, {".claude/prd_state.json": "state", "gone.json": "state", "torn.jsonl": "log"}
        )
    )

    assert [(one.source, one.sentence) for one in report.skipped] == [
        (".claude/prd_state.json", "holds nothing that becomes a run; it is kept")
    ]
    assert [one.source for one in report.problems] == ["gone.json", "torn.jsonl"]
    assert report.problems[1].sentence == "1 line is no JSON and left out"


@EVERY
def test_a_stop_at_every_durable_effect_is_repaired_by_the_next_call(tmp_path: Path, every: bool) -> None:
    undisturbed = new_taker(tmp_path / "undisturbed")
    originals = w_files.write_everything(undisturbed.place)
    effects: list[str] = []
    with observe(effects.append):
        undisturbed.take_over(originals)
    wanted = account(undisturbed)
    undisturbed.known().close()

    for stop in points(len(effects), every=every):
        taker = new_taker(tmp_path / str(stop))
        originals = w_files.write_everything(taker.place)
        with pytest.raises(PowerCut), observe(cut_at(stop)):
            taker.take_over(originals)
        taker.take_over(originals)

        assert account(taker) == wanted, effects[stop - 1]
        taker.known().close()


def test_a_kill_leaves_what_the_next_call_finishes_and_nothing_else(tmp_path: Path) -> None:
    stop = 0
    while True:
        stop += 3
        taker = new_taker(tmp_path / str(stop))
        originals = w_files.write_everything(taker.place)
        taker.known().close()
        was_killed = killed_at(stop, taker, originals)
        taker.state = StateManager.open(taker.paths)

        taker.take_over(originals)

        assert RUN in [run.id for run in taker.known().list_runs()]
        assert taker.known().verify_chain() is None
        assert list(taker.paths.tmp_dir.iterdir()) == []
        taker.known().close()
        if not was_killed:
            break
    assert stop > 6


def test_two_takeovers_at_once_do_not_mix(taker: Taker) -> None:
    lock = FileLock(taker.paths.locks_dir / LOCK, what="The takeover", command="test")
    lock.acquire()

    with pytest.raises(Locked):
        taker.take_over(w_files.write_everything(taker.place))

    lock.release()


def test_a_full_disk_leaves_what_the_next_call_finishes(tmp_path: Path) -> None:
    taker = new_taker(tmp_path / "checkout")
    originals = w_files.write_everything(taker.place)

    def full(effect: str) -> None:
        if effect.startswith("append"):
            raise DiskFailed(path="x", reason="no space left on device", code="disk-full")

    with pytest.raises(DiskFailed), observe(full):
        taker.take_over(originals)
    report = taker.take_over(originals)

    assert RUN in report.imported
    taker.known().close()


def test_a_full_disk_while_a_database_is_copied_loses_no_approval(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)

    def full(effect: str) -> None:
        if effect.startswith("copy"):
            raise DiskFailed(path="x", reason="no space left on device", code="disk-full")

    with pytest.raises(DiskFailed), observe(full):
        taker.take_over(originals)
    taker.take_over(originals)

    assert len([one for one in taker.known().get_interventions(RUN) if "asked:" in one.reason]) == 3


def test_a_torn_last_line_of_the_journal_counts_as_never_written(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)
    taker.take_over(originals)
    whole = taker.journal.read_bytes()
    taker.journal.write_bytes(whole[:-20])

    taker.take_over(originals)

    assert len(taker.journal.read_bytes().splitlines()) == len(whole.splitlines())


def test_a_damaged_journal_is_refused_by_name(taker: Taker) -> None:
    taker.journal.write_text("nonsense\n{}\n")

    with pytest.raises(Refused) as error:
        taker.take_over([])

    assert error.value.code == "takeover-journal-damaged"


def test_a_rollback_takes_the_translated_configuration_back_unless_it_was_changed(taker: Taker) -> None:
    originals = w_files.write_everything(taker.place)
    taker.take_over(originals)

    first = take_back(taker.journal, paths=taker.paths, disk=taker.disk)
    second = take_back(taker.journal, paths=taker.paths, disk=taker.disk)

    assert (first, second) == ((), ())
    assert not taker.paths.config_file.exists()
    taker.take_over(originals)
    taker.paths.config_file.write_text("version: 1\n")
    [kept] = take_back(taker.journal, paths=taker.paths, disk=taker.disk)
    assert kept.source == ".orchestrator/workflow.yaml"
    assert taker.paths.config_file.read_text() == "version: 1\n"


def cut_at(stop: int) -> Callable[[str], None]:
    """Returns an observer that cuts the power just before the effect of that number."""
    seen = [0]

    def observer(effect: str) -> None:
        seen[0] += 1
        if seen[0] == stop:
            raise PowerCut(effect)

    return observer


def killed_at(stop: int, taker: Taker, originals: list[Original]) -> bool:
    """Takes over in a child that dies by SIGKILL just before an effect; returns whether it came to that."""
    child = os.fork()
    if child == 0:
        try:
            taker.state = StateManager.open(taker.paths)
            with observe(dying_at(stop)):
                taker.take_over(originals)
        except BaseException:
            os._exit(70)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def dying_at(stop: int) -> Callable[[str], None]:
    seen = [0]

    def observer(effect: str) -> None:
        seen[0] += 1
        if seen[0] == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    return observer


def account(taker: Taker) -> dict[str, object]:
    """Returns everything that was taken over, without the times of the takeover itself."""
    state = taker.known()
    summaries = {}
    for run in state.list_runs():
        text = json.dumps(state.export_run_summary(run.id), sort_keys=True)
        events = [(e.kind, dict(e.data)) for e in state.events(run.id)]
        summaries[run.id] = (text.replace(str(taker.root.resolve()), "ROOT"), events)
    return {"runs": summaries, "config": taker.paths.config_file.read_bytes(), "chain": state.verify_chain()}


def a_state_updated(at: str, phase: str) -> dict[str, object]:
    return {**w_files.a_state(at_phase=phase), "updated_at": at}
