"""Plans made by scripted planners: executed, repaired, refused, and asked for again after a kill."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.engine.merging import merge_run
from orchestrator.engine.plan_only import PlanWish, plan_only
from orchestrator.errors import Failed, Refused
from orchestrator.model.agent import Ending, Finished, Spent
from orchestrator.model.run import RunStatus, Usage
from tests.conftest import GitCall
from tests.engine.agents_on_path import Cast
from tests.engine.scene import Scene
from tests.engine.scripted import Act, Scripted, writes
from tests.engine.test_interruption import wait_until

FLOW = """
roles: {planner: claude}
workflows:
  default: [{agent: codex, task: implement}]
"""

TWO = """
agents:
  planner: {kind: command, command: ["true"]}
  worker: {kind: command, command: ["true"]}
roles: {planner: planner}
workflows: {default: [{agent: worker}]}
"""


def phase(number: int, *after: int) -> Mapping[str, object]:
    return {
        "id": f"p{number}",
        "name": f"Part {number}",
        "description": f"Do part {number}.",
        "dependencies": [f"p{each}" for each in after],
        "estimated_complexity": "low",
        "risk_level": "high",
        "verification_criteria": [f"part {number} is there"],
    }


FOUR = {"phases": [phase(1), phase(2, 1), phase(3, 1), phase(4, 2, 3)]}
ONE = {"phases": [phase(1)]}
CYCLE = {"phases": [phase(1, 2), phase(2, 1)]}


@pytest.fixture
def cast(scene: Scene, tmp_path: Path) -> Cast:
    made = Cast(scene, tmp_path / "told")
    made.configure(FLOW, "claude", "codex")
    return made


def test_a_plan_of_four_phases_is_made_executed_and_merged(scene: Scene, cast: Cast, git: GitCall) -> None:
    cast.script(
        {
            "claude/planner": [
                {"answer": f"So:\n```json\n{json.dumps(FOUR)}\n```\n", "write": {"mess": "x"}}
            ],
            "codex/implement": [{"write": {f"part{n}": "x"}} for n in (1, 2, 3, 4)],
        }
    )

    run = scene.run(run_id="four", task="do all of it")
    with scene.open() as workspace:
        merge_run(workspace.context, run.id)
        kinds = [str(event.kind) for event in workspace.state.events(run.id)]

    assert run.status is RunStatus.COMPLETED
    assert cast.turns == ["claude-planner", *["codex-implement"] * 4]
    subjects = git(scene.root, "log", "--format=%s", "--first-parent", "orchestrator/four").splitlines()
    assert subjects == ["Part 4", "Part 3", "Part 2", "Part 1", "first"]
    assert sorted(git(scene.root, "ls-tree", "--name-only", "HEAD").split()) == [
        "README.md",
        "app.py",
        *(f"part{n}" for n in (1, 2, 3, 4)),
    ]
    [asked] = cast.prompts("claude-planner")
    assert "do all of it" in asked
    assert "\napp.py\n" in asked
    assert "This is phase p2 (Part 2):\nDo part 2." in cast.prompts("codex-implement")[1]
    assert "- part 2 is there" in cast.prompts("codex-implement")[1]
    assert kinds.index("plan.asked") < kinds.index("plan.ready") < kinds.index("phase.started")
    assert scene.worktrees() == []


def test_a_plan_with_a_cycle_is_shown_to_the_planner_which_repairs_it(scene: Scene, cast: Cast) -> None:
    cast.script(
        {
            "claude/planner": [{"answer": "Let me think."}, {"answer": CYCLE}, {"answer": ONE}],
            "codex/implement": [{"count": "log"}],
        }
    )

    run = scene.run()

    first, second, third = cast.prompts("claude-planner")
    assert run.status is RunStatus.COMPLETED
    assert "cannot be used" not in first
    assert "The answer holds no JSON object with `phases`." in second
    assert "Let me think." in second
    assert "wait for each other in a cycle: p1, p2" in third


def test_without_a_usable_plan_the_run_waits_for_a_person_and_resuming_asks_again(
    scene: Scene, cast: Cast
) -> None:
    cast.script({"claude/planner": [{"answer": CYCLE}]})

    waiting = scene.run(run_id="waits")
    with scene.open() as workspace:
        [asked] = workspace.state.get_interventions(waiting.id, open_only=True)
    cast.script({"claude/planner": [{"answer": ONE}], "codex/implement": [{"count": "log"}]})
    done = scene.resume(waiting.id)

    assert (waiting.status, waiting.metadata.progress.waiting_for) == (RunStatus.WAITING, "a plan")
    assert len(cast.prompts("claude-planner")) == 4
    assert "in a cycle" in asked.reason
    assert "orchestrator resume waits" in asked.action_required
    assert "--plan FILE" in asked.action_required
    assert done.status is RunStatus.COMPLETED


def test_a_planner_that_fails_leaves_a_waiting_run(scene: Scene, cast: Cast) -> None:
    cast.script({"claude/planner": [{"status": 4, "answer": "no key"}]})

    run = scene.run()

    assert run.status is RunStatus.WAITING
    assert len(cast.prompts("claude-planner")) == 1
    assert scene.worktrees() == []


def test_a_run_killed_while_it_is_planned_asks_again_and_goes_on(scene: Scene, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    planner = scene.program(
        "planner",
        f"""
        import json, pathlib, time
        begun = pathlib.Path({str(begun)!r})
        if not begun.exists():
            begun.write_text("")
            time.sleep(60)
        print(json.dumps({ONE!r}))
        """,
    )
    worker = scene.program("worker", "open('log', 'a').write('x')")
    scene.configure(
        f"roles: {{planner: slow}}\n"
        f"agents:\n  slow: {{kind: command, command: {json.dumps(planner.split())}}}\n"
        f"  quick: {{kind: command, command: {json.dumps(worker.split())}}}\n"
        "workflows: {default: [{agent: quick}]}\n"
    )
    run_id = scene.start()

    owner = os.fork()
    if owner == 0:
        scene.work(run_id)
        os._exit(0)
    wait_until(begun.exists)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    with scene.open() as workspace:
        killed = workspace.state.get_run(run_id)
    done = scene.resume(run_id)

    assert killed.status is RunStatus.PLANNING
    assert done.status is RunStatus.COMPLETED
    with scene.open() as workspace:
        assert len(workspace.state.get_phases_for_run(run_id)) == 1
    assert scene.worktrees() == []


def test_a_planner_that_uses_up_the_budget_waits_for_more_and_then_asks_again(scene: Scene) -> None:
    scene.configure(TWO)
    spent = [Spent(Usage(input_tokens=5, output_tokens=5, turns=turns)) for turns in (1, 2)]
    answer = Finished(Ending.FINISHED, 0, "", Usage(turns=1), answer=json.dumps(ONE))
    agent = Scripted([[*spent], [answer], [writes("part1")]])
    run_id = scene.start(options={"max_turns": 1})

    paused = agent.work(scene, run_id)
    done = agent.resume(scene, run_id)
    while done.status is RunStatus.WAITING and len(agent.asked) < 9:
        done = agent.resume(scene, run_id)

    assert (paused.status, paused.metadata.progress.waiting_for) == (RunStatus.WAITING, "more turns")
    assert paused.metadata.progress.planning.turns == 2
    assert paused.metadata.progress.planning.input_tokens == 5
    assert done.status is RunStatus.COMPLETED
    assert len(agent.asked) == 3
    assert done.metadata.progress.planning.turns == 3


def test_what_a_planner_told_before_a_kill_is_counted(scene: Scene) -> None:
    scene.configure(TWO)
    answer = Finished(Ending.FINISHED, 0, "", Usage(10, 1, 0.5), answer=json.dumps(ONE))
    told: list[Act | str] = [Spent(Usage(7, 1, 0.25)), lambda _: time.sleep(0.3), _die]
    run_id = scene.start(options={"max_cost_usd": 5.0})
    owner = os.fork()
    if owner == 0:
        Scripted([told]).work(scene, run_id)
        os._exit(0)
    os.waitpid(owner, 0)

    done = Scripted([[answer], [writes("part1")]]).work(scene, run_id)

    assert done.status is RunStatus.COMPLETED
    assert done.metadata.progress.planning.input_tokens == 17
    assert done.metadata.progress.planning.cost_usd == 0.75


def test_a_plan_for_show_leaves_nothing_behind(scene: Scene, cast: Cast, git: GitCall) -> None:
    cast.script({"claude/planner": [{"answer": FOUR, "write": {"app.py": "changed"}}]})
    refs = git(scene.root, "for-each-ref")

    with scene.open() as workspace:
        wish = PlanWish("do it", None, workspace.loaded.config)
        planned = plan_only(workspace.context, wish, stop=lambda: False)
        runs = workspace.state.list_runs()
        left = list(workspace.context.paths.tmp_dir.iterdir())

    assert planned.plan is not None
    assert [each.id for each in planned.plan.phases] == ["p1", "p2", "p3", "p4"]
    assert planned.planner == "claude"
    assert (runs, left, scene.worktrees()) == ([], [], [])
    assert git(scene.root, "for-each-ref") == refs
    assert git(scene.root, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_plan_for_show_that_is_never_usable_fails_after_three_answers(scene: Scene, cast: Cast) -> None:
    cast.script({"claude/planner": [{"answer": "I would rather not."}]})

    with scene.open() as workspace, pytest.raises(Failed) as failed:
        plan_only(workspace.context, PlanWish("do it", None, workspace.loaded.config), stop=lambda: False)

    assert (failed.value.code, failed.value.exit_status) == ("plan-unusable", 3)
    assert len(cast.prompts("claude-planner")) == 3


def test_a_command_or_an_agent_that_was_typed_is_not_planned_for(scene: Scene, cast: Cast) -> None:
    cast.script({"codex/planner": [{"count": "log"}]})

    run = scene.run(options={"agent": "codex"})

    assert run.status is RunStatus.COMPLETED
    assert cast.prompts("claude-planner") == []


def test_a_planner_that_is_not_there_is_refused_before_anything_begins(scene: Scene) -> None:
    scene.configure(
        "agents: {nobody: {kind: command, command: [no-such-program-anywhere]}}\nroles: {planner: nobody}\n"
    )

    with pytest.raises(Refused) as refused:
        scene.start()

    assert refused.value.code == "agent-missing"


def _die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
