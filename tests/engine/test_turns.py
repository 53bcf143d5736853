from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.engine.report import exit_status
from orchestrator.model.agent import AgentEvent, AgentRequest, Cause, Ending, Finished, Said, Spent, UsedTool
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.run import Run, RunStatus, Usage
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.engine.scripted import HANGS, Act, Scripted, opened, writes
from tests.engine.test_interruption import effects_of, killed_at, leftovers

CHECKED = "verify: {test: [{run: ['true']}]}\n"


@pytest.fixture
def checked(scene: Scene) -> Scene:
    scene.configure(CHECKED)
    return scene


def tool(number: int) -> UsedTool:
    return UsedTool("read", {"path": f"file-{number}"}, call=f"call-{number}")


def failed(cause: Cause) -> Finished:
    return Finished(Ending.FAILED, 1, "it said no", Usage(), cause=cause)


def waiting(run: Run) -> tuple[RunStatus, str | None, int]:
    return run.status, run.metadata.progress.waiting_for, exit_status(run)


def test_an_interrupted_turn_goes_on_in_the_agents_own_session_and_is_told_what_it_had_changed(
    checked: Scene,
) -> None:
    agent = Scripted([[opened("s-1"), writes("half.txt", "half of it\n"), HANGS], [opened("s-1")]])
    run_id = checked.start(command="true")
    stopped = agent.work(
        checked, run_id, stop=lambda: any(checked.root.glob(".orchestrator/worktrees/*/main/half.txt"))
    )

    done = agent.work(checked, run_id)

    assert stopped.status is RunStatus.EXECUTING
    assert done.status is RunStatus.COMPLETED
    assert [request.continues for request in agent.asked] == ["", "s-1"]
    assert "was interrupted" in agent.asked[1].prompt
    assert "+half of it" in agent.asked[1].prompt


def test_a_turn_that_is_broken_off_again_before_it_opens_its_session_goes_on_in_it_after_all(
    checked: Scene,
) -> None:
    agent = Scripted([[opened("s-1"), HANGS], [HANGS], [opened("s-1"), writes("all.txt")]])
    run_id = checked.start(command="true")
    agent.work(checked, run_id, stop=lambda: len(agent.asked) == 1)
    agent.work(checked, run_id, stop=lambda: len(agent.asked) == 2)

    done = agent.work(checked, run_id)

    assert done.status is RunStatus.COMPLETED
    assert [request.continues for request in agent.asked] == ["", "s-1", "s-1"]


def test_an_agent_that_lost_its_session_begins_a_new_one_in_the_same_attempt(checked: Scene) -> None:
    agent = Scripted(
        [
            [opened("s-1"), writes("half.txt"), HANGS],
            [failed(Cause.SESSION_LOST)],
            [opened("s-2"), writes("all.txt")],
        ]
    )
    run_id = checked.start(command="true")
    agent.work(checked, run_id, stop=lambda: len(agent.asked) == 1)

    done = agent.work(checked, run_id)

    assert done.status is RunStatus.COMPLETED
    assert [request.continues for request in agent.asked] == ["", "s-1", ""]
    assert any("lost its session" in note for note in done.metadata.progress.notes)


def test_a_stuck_agent_gets_one_fresh_session_and_then_a_person_is_asked(scene: Scene) -> None:
    scene.configure(CHECKED.replace("verify", "execution: {stuck_after_s: 0.3}\nverify"))
    config = scene.root / ".orchestrator" / "workflow.yaml"
    config.write_text(config.read_text().replace("execution: {retry_backoff_s: 0}\n", "", 1))
    agent = Scripted([[opened("s-1"), writes("half.txt"), HANGS]])
    run_id = scene.start(command="true")

    stuck = agent.work(scene, run_id)
    with scene.open() as workspace:
        asked = workspace.state.get_interventions(run_id, open_only=True)
        kept = workspace.context.checkpoints.list_checkpoints(run_id)
    agent.turns.append([opened("s-3"), writes("all.txt")])
    agent.asked.append(agent.asked[-1])
    done = agent.resume(scene, run_id)

    assert waiting(stuck) == (RunStatus.WAITING, "you: its agent makes no progress", 6)
    assert [request.continues for request in agent.asked] == ["", "", "", ""]
    assert "stopped making progress" in agent.asked[1].prompt
    assert len(asked) == 1
    assert f"orchestrator resume {run_id}" in asked[0].action_required
    assert any("half.txt" in scene_files for scene_files in [_files(scene, kept[0].tree)])
    assert done.status is RunStatus.COMPLETED


def test_saying_the_same_again_is_no_progress_but_a_changing_file_is(scene: Scene) -> None:
    scene.configure(CHECKED.replace("verify", "execution: {stuck_after_s: 1.0}\nverify"))
    config = scene.root / ".orchestrator" / "workflow.yaml"
    config.write_text(config.read_text().replace("execution: {retry_backoff_s: 0}\n", "", 1))

    def slowly(worktree: Path) -> None:
        time.sleep(0.4)
        with (worktree / "log.txt").open("a") as log:
            log.write("more\n")

    spins: list[Act | str] = [part for n in range(5) for part in (Said(f"⠋ working {n}%"), slowly)]
    agent = Scripted([[opened("s"), *spins]])

    done = agent.work(scene, scene.start(command="true"))

    assert done.status is RunStatus.COMPLETED
    assert len(agent.asked) == 1


def test_the_turns_allowed_stop_the_agent_and_its_session_goes_on_with_as_many_again(checked: Scene) -> None:
    agent = Scripted([[opened("s-1"), *map(tool, range(9)), writes("all.txt")]])
    run_id = checked.start(command="true", options={"max_turns": 5})

    paused = agent.work(checked, run_id)
    done = agent.resume(checked, run_id)
    with checked.open() as workspace:
        turns = [each.progress.usage.turns for each in workspace.state.get_executions(run_id)]

    assert waiting(paused) == (RunStatus.WAITING, "more turns", 6)
    assert [request.max_turns for request in agent.asked] == [5, 4]
    assert [request.continues for request in agent.asked] == ["", "s-1"]
    assert turns[0] == 6
    assert waiting(done)[:2] == (RunStatus.WAITING, "more turns")


def test_the_money_allowed_stops_the_agent_and_keeps_its_work(checked: Scene) -> None:
    spent = [Spent(Usage(input_tokens=10, output_tokens=1, cost_usd=0.2 * n)) for n in range(1, 9)]
    agent = Scripted([[opened("s-1"), writes("half.txt"), *spent]])
    run_id = checked.start(command="true", options={"max_cost_usd": 1.0})

    paused = agent.work(checked, run_id)
    with checked.open() as workspace:
        kept = workspace.context.checkpoints.list_checkpoints(run_id)
        told = [e.data["cost_usd"] for e in workspace.state.events(run_id) if e.kind is EventKind.AGENT_USAGE]

    assert waiting(paused) == (RunStatus.WAITING, "more money", 6)
    assert "half.txt" in _files(checked, kept[0].tree)
    assert max(cost for cost in told if isinstance(cost, float)) == 1.0


def test_without_a_key_nothing_is_tried_again_and_the_run_ends_with_4(checked: Scene) -> None:
    agent = Scripted([[failed(Cause.CREDENTIAL)]])

    run = agent.work(checked, run_id := checked.start(command="true"))
    with checked.open() as workspace:
        asked = workspace.state.get_interventions(run_id, open_only=True)

    assert (run.status, exit_status(run)) == (RunStatus.FAILED, 4)
    assert len(agent.asked) == 1
    assert "orchestrator agents check scripted" in asked[0].action_required


def test_a_used_up_quota_makes_the_run_wait_in_the_state(checked: Scene) -> None:
    agent = Scripted([[failed(Cause.QUOTA)]])

    run = agent.work(checked, checked.start(command="true"))

    wake_at = run.metadata.progress.wake_at
    assert waiting(run)[0::2] == (RunStatus.WAITING, 6)
    assert wake_at is not None
    assert len(agent.asked) == 1


def test_events_that_come_fast_are_all_recorded_in_order(checked: Scene) -> None:
    agent = Scripted([[opened("s"), *map(tool, range(5000)), writes("all.txt")]])

    agent.work(checked, run_id := checked.start(command="true"))
    with checked.open() as workspace:
        used = [e.data["call"] for e in workspace.state.events(run_id) if e.kind is EventKind.AGENT_TOOL]
        broken = workspace.state.verify_chain()

    assert used == [f"call-{number}" for number in range(5000)]
    assert broken is None


def test_a_kill_loses_no_event_that_is_older_than_50_ms(checked: Scene) -> None:
    told = checked.programs / "told"

    def tells(number: int) -> list[Act | str]:
        def act(_: Path) -> None:
            with told.open("a") as file:
                file.write(f"{number} {time.time()}\n")
            time.sleep(0.002)

        return [tool(number), act]

    run_id = checked.start(command="true")
    child = os.fork()
    if child == 0:
        Scripted([[opened("s"), *(act for number in range(5000) for act in tells(number))]]).work(
            checked, run_id
        )
        os._exit(0)
    while not told.exists() or len(told.read_text().splitlines()) < 50:
        time.sleep(0.02)
    time.sleep(1.0)
    os.kill(child, signal.SIGKILL)
    killed_at = time.time()
    os.waitpid(child, 0)

    with checked.open() as workspace:
        used = [e.data["call"] for e in workspace.state.events(run_id) if e.kind is EventKind.AGENT_TOOL]
    old = [line.split() for line in told.read_text().splitlines()]
    must = [number for number, at in old if float(at) < killed_at - 0.5]  # 50 ms, and a busy disk
    assert used == [f"call-{number}" for number in range(len(used))]
    assert len(used) >= len(must) > 10


def _files(scene: Scene, tree: str) -> str:
    with scene.open() as workspace:
        return json.dumps(workspace.repository.git.run("ls-tree", "-r", "--name-only", tree).stdout.decode())


class Limited(Scripted):
    """Uses up its turns before its work is done; in its own session or a new one it does the rest."""

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of a turn that depends on what the tree holds, as those of a real one."""
        if (worktree / "half.txt").exists():
            self.turns = [[opened("s-1"), writes("all.txt"), tool(9)]]
        else:
            self.turns = [[opened("s-1"), writes("half.txt"), *map(tool, range(9)), writes("all.txt")]]
        return super().run(request, worktree=worktree, cancelled=cancelled)


def to_its_end(scene: Scene, run_id: RunId) -> None:
    """Starts or takes up a run until it is completed; what it waits for is given."""
    with scene.open() as workspace:
        is_known = any(run.id == run_id for run in workspace.state.list_runs())
    if not is_known:
        scene.start(command="true", run_id=run_id, options={"max_turns": 3})
    run = Limited([]).work(scene, run_id)
    if run.status is RunStatus.WAITING:
        run = Limited([]).resume(scene, run_id)
    assert run.status is RunStatus.COMPLETED, run.metadata.progress


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_kill_at_any_effect_of_a_run_that_is_set_aside_ends_in_the_undisturbed_result(
    checked: Scene, git: GitCall, every: bool
) -> None:
    count = effects_of(checked, lambda: to_its_end(checked, RunId("whole")))
    whole = git(checked.root, "rev-parse", "orchestrator/whole^{tree}")
    step = 1 if every else max(1, count // 6)

    for effect in range(1 if every else step // 2, count + 1, step):
        run_id = RunId(f"k{effect}")
        killed_at(effect, lambda name=run_id: to_its_end(checked, name))  # type: ignore[misc]
        to_its_end(checked, run_id)
        assert git(checked.root, "rev-parse", f"orchestrator/{run_id}^{{tree}}") == whole, effect

    assert leftovers(checked.root) == []
    assert checked.worktrees() == []
