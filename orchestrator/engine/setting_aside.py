"""Sets an attempt aside that was stopped in the middle: its work is kept, and the next goes on behind it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine.attempt import wait_for
from orchestrator.engine.budget import MORE, remaining
from orchestrator.engine.keeping import keep
from orchestrator.engine.recording import add_usage, record_usage
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.work import Work
from orchestrator.model.agent import Ending, Finished
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Execution, ExecutionStatus
from orchestrator.repo.trees import IsolatedTree
from orchestrator.verify.clean import discard

STUCK_AGAIN = "stuck again"
STUCK = (Ending.STUCK.value, STUCK_AGAIN)
"""How a step ended whose agent made no progress: the first time, and once more."""
_A_PERSON = "you: its agent makes no progress"


def set_aside(
    work: Work,
    action: RunStep,
    tree: IsolatedTree,
    finished: Finished,
    about: JsonObject,
    *,
    over: str | None,
) -> None:
    """Keeps what a turn left that reached a limit or made no progress, and says how the run goes on.

    Out of budget (`over` names the part, unless the agent kept the limit itself), it waits for a person.
    Stuck, the step is tried once more in a fresh session of the agent; stuck there too, it waits. A crash
    before the attempt is closed leaves it to be settled as interrupted.
    """
    before = action.execution
    checkpoint = keep(work, tree, f"{before.phase_id} attempt {before.attempt}: {finished.ending}")
    state = work.context.state
    execution = current(work, before)
    again = finished.ending is Ending.STUCK and _was_stuck(work, before)
    progress = replace(
        execution.progress,
        checkpoint=checkpoint.commit,
        tree=checkpoint.tree,
        process=None,
        ending=STUCK_AGAIN if again else finished.ending.value,
        usage=add_usage(execution.progress.usage, finished.usage),
    )
    with state.transaction():
        record_usage(work, finished.usage, about)
        state.set_execution_progress(execution.id, progress)
        state.fail_execution(execution.id, finished.detail, interrupted=True)
        if again:
            reason = f"Twice in a row the agent made no progress ({finished.detail})."
            wait_for(work, action.phase.id, reason, _A_PERSON)
        elif finished.ending is Ending.LIMIT:
            _wait_for_budget(work, action, finished.detail, over)
    if again or finished.ending is Ending.LIMIT:
        discard(work.context.trees, work.run_id)


def is_out_of_budget(work: Work, action: RunStep) -> bool:
    """Returns whether nothing is left to begin a step with; the run then waits, its attempt kept open."""
    if remaining(work).used_up() is None:
        return False
    with work.context.state.transaction():
        work.context.state.fail_execution(
            action.execution.id, "the budget of the run is used up", interrupted=True
        )
        _wait_for_budget(work, action, "the budget of the run is used up", None)
    return True


def current(work: Work, execution: Execution) -> Execution:
    """Returns an attempt as it is recorded now."""
    found = work.context.state.get_executions(work.run_id, execution.phase_id)
    return next(each for each in found if each.id == execution.id)


def attempt_before(work: Work, execution: Execution) -> Execution | None:
    """Returns the attempt that this one goes on with: the one before it, when that was broken off."""
    found = work.context.state.get_executions(work.run_id, execution.phase_id)
    before = next((each for each in found if each.attempt == execution.attempt - 1), None)
    return before if before is not None and before.status is ExecutionStatus.INTERRUPTED else None


def _was_stuck(work: Work, execution: Execution) -> bool:
    before = attempt_before(work, execution)
    return (
        before is not None
        and before.progress.ending == Ending.STUCK
        and before.progress.steps_done == execution.progress.steps_done
    )


def _wait_for_budget(work: Work, action: RunStep, detail: str, over: str | None) -> None:
    part = over or remaining(work).used_up() or "turns"
    wait_for(work, action.phase.id, f"The agent was stopped: {detail}.", MORE[part])
