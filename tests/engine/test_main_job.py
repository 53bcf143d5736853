from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.engine.merging import merge_run
from orchestrator.engine.start import preview, start_run
from orchestrator.errors import AnswerIsNo, Failed, Refused
from orchestrator.model.ids import PhaseId
from orchestrator.model.plan import Plan, PlannedPhase
from orchestrator.model.run import ExecutionStatus, Integrate, Outcome, RunStatus
from tests.conftest import GitCall
from tests.engine.scene import Scene

PYTHON = sys.executable

CODEX_ENDS = '{"type":"turn.completed","usage":{"input_tokens":2,"output_tokens":1}}'


def check(source: str) -> str:
    """Returns the configuration of one test command: a line of Python that fails by a non-zero exit."""
    return f"verify:\n  test: [{{run: ['{PYTHON}', '-c', \"{source}\"]}}]\n"


NO_BAD = check("import sys; sys.exit('bad' in open('app.py').read())")


def test_a_command_agent_leads_to_a_verified_branch_and_the_users_repository_stays_as_it_was(
    scene: Scene, git: GitCall
) -> None:
    scene.configure(NO_BAD)
    agent = scene.program("agent", "open('app.py', 'a').write('# good\\n'); open('new.txt', 'w').write('n')")
    before = (git(scene.root, "rev-parse", "HEAD"), git(scene.root, "status", "--porcelain"))

    run = scene.run(command=agent, run_id="one")

    assert (run.status, run.metadata.progress.outcome) == (RunStatus.COMPLETED, Outcome.VERIFIED)
    assert git(scene.root, "show", "orchestrator/one:app.py") == "print(1)\n# good"
    assert git(scene.root, "show", "orchestrator/one:new.txt") == "n"
    assert (
        git(scene.root, "log", "-1", "--format=%an <%ae>", "orchestrator/one")
        == "A User <user@example.invalid>"
    )
    assert (git(scene.root, "rev-parse", "HEAD"), git(scene.root, "status", "--porcelain")) == before
    assert scene.worktrees() == []


def test_a_failed_check_goes_back_to_the_agent_which_hears_of_it(scene: Scene) -> None:
    scene.configure(
        NO_BAD
        + "agents:\n  mender:\n    kind: command\n    stdin: prompt\n"
        + f"    command: [{PYTHON}, {scene.programs}/mender.py]\n"
    )
    scene.program(
        "mender",
        """
        import sys
        heard = sys.stdin.read()
        open("app.py", "w").write("fine" if "problem(s)" in heard else "bad")
        """,
    )

    run = scene.run(options={"agent": "mender"})

    with scene.open() as workspace:
        executions = workspace.state.get_executions(run.id)
        findings = workspace.state.get_findings(run.id)
    assert run.status is RunStatus.COMPLETED
    assert [e.status for e in executions] == [ExecutionStatus.FAILED, ExecutionStatus.SUCCEEDED]
    assert [f.resolved for f in findings] == [True]
    assert all(f.resolved_at is not None for f in findings)


def test_a_deaf_command_that_changes_nothing_is_not_tried_again(scene: Scene) -> None:
    scene.configure(NO_BAD)
    agent = scene.program("agent", "open('app.py', 'w').write('bad')")

    run = scene.run(command=agent)

    with scene.open() as workspace:
        executions = workspace.state.get_executions(run.id)
        asked = workspace.state.get_interventions(run.id, open_only=True)
    assert (run.status, run.metadata.progress.exit_status) == (RunStatus.FAILED, 1)
    assert len(executions) == 2
    assert len(asked) == 1
    assert run.metadata.progress.branch is None


def test_an_agent_that_fails_vetoes_what_it_left(scene: Scene, git: GitCall) -> None:
    agent = scene.program("agent", "open('app.py', 'a').write('#'); raise SystemExit(7)")

    run = scene.run(command=agent, run_id="vetoed")

    assert (run.status, run.metadata.progress.exit_status) == (RunStatus.FAILED, 3)
    assert "The agent failed (" in (run.metadata.progress.error or "")
    assert git(scene.root, "branch", "--list", "orchestrator/*") == ""
    assert git(scene.root, "show", "refs/orchestrator/runs/vetoed:tree/app.py").startswith("print(1)\n#")


def test_phases_stack_up_with_one_commit_each(scene: Scene, git: GitCall) -> None:
    agent = scene.program(
        "agent",
        """
        import os, subprocess
        done = [n for n in ("a", "b", "c") if os.path.exists(n)]
        open("abc"[len(done)], "w").write("x")
        open("seen", "w").write(subprocess.check_output(["git", "log", "--format=%s"], text=True))
        """,
    )
    phases = tuple(
        PlannedPhase(PhaseId(f"p{n}"), f"Phase {n}", f"do {n}", tuple(PhaseId(f"p{d}") for d in deps))
        for n, deps in ((1, ()), (2, (1,)), (3, (2,)))
    )

    run = scene.run(command=agent, plan=Plan.of(phases), run_id="three")

    assert run.status is RunStatus.COMPLETED
    subjects = git(scene.root, "log", "--format=%s", "orchestrator/three").splitlines()
    assert subjects == ["Phase 3", "Phase 2", "Phase 1", "first"]
    assert git(scene.root, "show", "orchestrator/three:seen").splitlines() == ["Phase 2", "Phase 1", "first"]
    assert "Orchestrator-Phase: p2" in git(scene.root, "show", "-s", "--format=%B", "orchestrator/three~1")


def test_no_change_is_said_and_makes_no_branch(scene: Scene, git: GitCall) -> None:
    run = scene.run(command="true")

    assert (run.status, run.metadata.progress.outcome) == (RunStatus.COMPLETED, Outcome.NO_CHANGES)
    assert git(scene.root, "branch", "--list", "orchestrator/*") == ""


def test_no_change_does_not_satisfy_a_demand_for_clean_checks(scene: Scene, git: GitCall) -> None:
    scene.configure(NO_BAD)
    (scene.root / "app.py").write_text("bad")
    git(scene.root, "commit", "-qam", "bad")

    run = scene.run(command="true", options={"require_clean": True})

    assert (run.status, run.metadata.progress.exit_status) == (RunStatus.FAILED, 1)


def test_without_checks_a_result_is_unverified(scene: Scene) -> None:
    run = scene.run(command=scene.program("agent", "open('x', 'w')"))

    assert run.metadata.progress.outcome is Outcome.UNVERIFIED
    assert run.metadata.progress.notes == ("No check is configured.",)


def test_a_check_that_fails_alike_on_the_base_proves_nothing(scene: Scene) -> None:
    scene.configure(check("raise SystemExit(1)"))
    agent = scene.program("agent", "open('x', 'w')")

    lenient, strict = scene.run(command=agent), scene.run(command=agent, options={"require_clean": True})

    assert (lenient.status, lenient.metadata.progress.outcome) == (RunStatus.COMPLETED, Outcome.UNVERIFIED)
    assert (strict.status, strict.metadata.progress.exit_status) == (RunStatus.FAILED, 1)


def test_an_empty_task_an_unknown_base_and_a_taken_id_are_refused(scene: Scene, git: GitCall) -> None:
    scene.run(command="true", run_id="taken")
    git(scene.root, "branch", "orchestrator/held")

    for wishes, code in (
        ({"task": " \n"}, "task-empty"),
        ({"base": "no-such-branch"}, "base-unknown"),
        ({"base": "--upload-pack=x"}, "base-unknown"),
        ({"run_id": "taken"}, "run-id-taken"),
        ({"run_id": "held"}, "branch-taken"),
    ):
        with pytest.raises(Refused) as refused:
            scene.start(command="true", **wishes)
        assert refused.value.code == code


def test_a_run_inside_a_run_is_refused(scene: Scene) -> None:
    scene.environment = {**scene.environment, "ORCHESTRATOR_EXECUTION": "1-2/e"}

    with pytest.raises(Refused) as refused:
        scene.start(command="true")

    assert refused.value.code == "nested-run"


def test_the_time_allowed_pauses_a_run_instead_of_failing_it(scene: Scene) -> None:
    agent = scene.program(
        "agent",
        """
        import os, time
        if not os.path.exists("begun"):
            open("begun", "w")
            time.sleep(30)
        """,
    )

    run = scene.run(command=agent, options={"max_time_s": 1.0})
    with scene.open() as workspace:
        asked = workspace.state.get_interventions(run.id, open_only=True)
    done = scene.resume(run.id)
    with scene.open() as workspace:
        answered = workspace.state.get_interventions(run.id, open_only=True)

    assert (run.status, run.metadata.progress.waiting_for) == (RunStatus.WAITING, "more time")
    assert (len(asked), len(answered)) == (1, 0)
    assert done.status is RunStatus.COMPLETED


def test_a_long_backoff_is_stored_and_its_time_comes(scene: Scene) -> None:
    config = scene.root / ".orchestrator" / "workflow.yaml"
    config.write_text(config.read_text().replace("retry_backoff_s: 0", "retry_backoff_s: 3600"))

    run = scene.run(command=scene.program("agent", "open('x', 'a').write('x'); raise SystemExit(1)"))

    assert run.status is RunStatus.WAITING
    wake_at = run.metadata.progress.wake_at
    assert wake_at is not None
    assert 3500 < (wake_at - run.created_at).total_seconds() < 3700


def test_setup_and_brought_files_make_the_tree_ready_and_are_never_kept(scene: Scene, git: GitCall) -> None:
    scene.configure(
        f"worktrees:\n  bring: ['.env']\n  setup: [['{PYTHON}', '-c', \"open('ready', 'w')\"]]\n"
        + check("open('.env'); open('ready')")
    )
    (scene.root / ".gitignore").write_text(".env\nready\n")
    git(scene.root, "add", ".gitignore")
    git(scene.root, "commit", "-qm", "ignore")
    (scene.root / ".env").write_text("KEY=secret")
    agent = scene.program("agent", "open('copied', 'w').write(str(len(open('.env').read())))")

    run = scene.run(command=agent, run_id="ready")

    assert run.metadata.progress.outcome is Outcome.VERIFIED
    assert git(scene.root, "show", "orchestrator/ready:copied") == "10"
    held = git(scene.root, "log", "--all", "--format=", "--name-only", "-m")
    assert ".env" not in held.split()


def test_uncommitted_changes_become_the_base_when_asked_for(scene: Scene, git: GitCall) -> None:
    (scene.root / "app.py").write_text("mine\n")
    (scene.root / "untracked").write_text("u")

    without = scene.run(command=scene.program("agent", "open('x', 'w')"), run_id="without")
    scene.run(command=scene.program("agent", "open('x', 'w')"), run_id="with", include_changes=True)

    assert git(scene.root, "show", "orchestrator/without:app.py") == "print(1)"
    assert git(scene.root, "show", "orchestrator/with:app.py") == "mine"
    assert git(scene.root, "show", "orchestrator/with:untracked") == "u"
    assert (scene.root / "app.py").read_text() == "mine\n"
    assert without.status is RunStatus.COMPLETED


def test_integrate_merge_waits_for_a_clean_checkout_and_then_goes_on(scene: Scene, git: GitCall) -> None:
    (scene.root / "app.py").write_text("mine\n")
    agent = scene.program("agent", "open('x', 'w')")

    waiting = scene.run(command=agent, options={"integrate": Integrate.MERGE})
    git(scene.root, "checkout", "-q", "--", "app.py")
    done = scene.resume(waiting.id)

    assert waiting.status is RunStatus.WAITING
    assert "app.py" in (waiting.metadata.progress.waiting_for or "")
    assert (done.status, done.metadata.progress.merged) == (RunStatus.COMPLETED, True)
    assert (scene.root / "x").exists()


def test_a_merge_onto_a_moved_branch_runs_the_checks_on_the_merged_tree(scene: Scene, git: GitCall) -> None:
    scene.configure(check("import os, sys; sys.exit(os.path.exists('a') and os.path.exists('b'))"))
    run = scene.run(command=scene.program("agent", "open('a', 'w')"))
    (scene.root / "b").write_text("")
    git(scene.root, "add", "b")
    git(scene.root, "commit", "-qm", "b")
    tip = git(scene.root, "rev-parse", "HEAD")

    with scene.open() as workspace, pytest.raises(AnswerIsNo) as refused:
        merge_run(workspace.context, run.id)

    assert refused.value.code == "merged-tree-fails"
    assert git(scene.root, "rev-parse", "HEAD") == tip


def test_a_conflict_changes_nothing(scene: Scene, git: GitCall) -> None:
    run = scene.run(command=scene.program("agent", "open('app.py', 'w').write('theirs')"))
    (scene.root / "app.py").write_text("ours")
    git(scene.root, "commit", "-qam", "ours")
    tip = git(scene.root, "rev-parse", "HEAD")

    with scene.open() as workspace, pytest.raises(Failed) as refused:
        merge_run(workspace.context, run.id)

    assert (refused.value.code, refused.value.exit_status) == ("merge-conflict", 3)
    assert (git(scene.root, "rev-parse", "HEAD"), git(scene.root, "diff", "HEAD")) == (tip, "")


def test_a_run_whose_gates_never_held_is_not_merged(scene: Scene) -> None:
    scene.configure(NO_BAD)
    run = scene.run(command=scene.program("agent", "open('app.py', 'w').write('bad')"))

    with scene.open() as workspace, pytest.raises(Refused):
        merge_run(workspace.context, run.id)


def test_the_report_of_the_users_repository_names_what_an_outsider_changed(
    scene: Scene, git: GitCall
) -> None:
    agent = scene.program(
        "agent", f"import subprocess; subprocess.run(['git', '-C', {str(scene.root)!r}, 'tag', 'intruder'])"
    )

    run = scene.run(command=agent)

    with scene.open() as workspace:
        told = [e.data for e in workspace.state.events(run.id) if e.kind == "fingerprint.changed"]
    assert "intruder" in str(told)


def test_a_merge_that_was_asked_for_is_not_reported_as_an_outsiders_change(scene: Scene) -> None:
    agent = scene.program("agent", "open('x', 'w')")

    run = scene.run(command=agent, options={"integrate": Integrate.MERGE})

    with scene.open() as workspace:
        kinds = [event.kind for event in workspace.state.events(run.id)]
    assert run.metadata.progress.merged
    assert "fingerprint.changed" not in kinds
    assert kinds[-1] == "run.finished"


def test_steps_without_an_agent_use_the_first_one_found_and_keep_it(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("codex", "opencode"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho made > made\necho '{CODEX_ENDS}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("OPENAI_API_KEY", "dummy")
    scene.environment = dict(os.environ)

    with scene.open() as workspace:
        request = scene.request(workspace)
        shown = preview(workspace.context, request)
        run_id = start_run(workspace.context, request, shown).id
    (tmp_path / "bin" / "claude").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "claude").chmod(0o755)
    done = scene.work(run_id)

    assert shown.warnings[0] == "No agent is named: codex is the first one found on PATH."
    assert done.status is RunStatus.COMPLETED
    assert done.metadata.options.found_agent == "codex"
