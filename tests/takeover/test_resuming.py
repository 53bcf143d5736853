"""A workflow that W left unfinished is gone on with by the engine itself, phase by phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.frozen import freeze
from orchestrator.engine.local import prepare_resume, resumable, resumption, work
from orchestrator.engine.schedule import Rest, next_action
from orchestrator.engine.work import load_state, open_work
from orchestrator.model.ids import RunId
from orchestrator.model.run import Outcome, PhaseStatus, RunStatus
from orchestrator.takeover.taking_over import take_over
from orchestrator.workspace import Workspace
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.takeover import w_files

RUN = RunId(w_files.RUN)
AGENT = """
    import sys
    open("app.py", "a").write("good\\n")
    open("prompts.txt", "a").write(sys.stdin.read() + "=====\\n")
"""


@pytest.fixture
def scene(repository: Path, tmp_path: Path) -> Scene:
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Scene(repository, programs)
    command = made.program("agent", AGENT).split()
    made.configure(
        f"""
        agents: {{worker: {{kind: command, command: {command}, stdin: prompt}}}}
        workflows: {{default: [{{agent: worker}}]}}
        """
    )
    return made


def test_resume_does_the_remaining_phases_and_hands_over_a_branch(scene: Scene, git: GitCall) -> None:
    with scene.open() as workspace:
        taken_over(workspace)
        run = workspace.state.get_run(RUN)
        assert [each.id for each in resumable(workspace.context)] == [RUN]
        plan = resumption(workspace.context, run)
        held = open_work(workspace.context, RUN, lambda: False)
        rested = next_action(load_state(held), run.created_at)

        prepare_resume(workspace.context, run)
        ended = work(workspace.context, RUN, stop=lambda: False)

        phases = workspace.state.get_phases_for_run(RUN)
        asked = workspace.state.get_interventions(RUN, open_only=True)

    assert isinstance(rested, Rest)
    assert plan.reason == "it waits for you: it was taken over from an earlier orchestrator"
    assert plan.skipped == (
        "phase PLAN (Plan the work)",
        "phase EXECUTE (Execute the work)",
        "phase REVIEW (Review the work)",
    )
    assert ended.status is RunStatus.COMPLETED
    assert ended.metadata.progress.outcome is Outcome.UNVERIFIED
    assert all(phase.status is PhaseStatus.COMPLETED for phase in phases)
    assert asked == []
    assert git(scene.root, "show", f"orchestrator/{RUN}:app.py") == "print(1)\ngood\ngood"


def test_the_agent_is_told_what_is_done_and_what_is_left(scene: Scene, git: GitCall) -> None:
    with scene.open() as workspace:
        taken_over(workspace)
        prepare_resume(workspace.context, workspace.state.get_run(RUN))
        work(workspace.context, RUN, stop=lambda: False)

    prompts = git(scene.root, "show", f"orchestrator/{RUN}:prompts.txt").split("=====")
    assert "Teach app.py to say good" in prompts[0]
    assert "This is phase VERIFY (Verify the work)" in prompts[0]
    assert "`make test` succeeds" in prompts[0]
    assert "This is phase LEARN" in prompts[1]


def taken_over(workspace: Workspace) -> None:
    """Takes over a workflow that had come to VERIFY."""
    place = workspace.paths.migrations_dir / "m-1"
    path = w_files.write_json(place / "original/.workflow_state.json", w_files.a_state(at_phase="VERIFY"))
    head = workspace.repository.head()
    report = take_over(
        w_files.originals(path.parent, {".workflow_state.json": "state"}),
        paths=workspace.paths,
        state=workspace.state,
        disk=workspace.disk,
        journal=place / "takeover.jsonl",
        base=head.oid,
        branch=head.branch,
        config_json=lambda: freeze(workspace.loaded.config),
    )
    assert report.resumable == (RUN,)
