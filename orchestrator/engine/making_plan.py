"""The first part of a run whose task is planned: asks, records the phases, or asks a person."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self

from orchestrator.config.prompts import PLANNER
from orchestrator.engine.attempt import wait_for
from orchestrator.engine.budget import MORE, remaining
from orchestrator.engine.keeping import keep_artifact
from orchestrator.engine.planner import Asking, asks_planner, plan_request, planner_for
from orchestrator.engine.recording import PLANNING, Recorder, planning_told, record_usage
from orchestrator.engine.work import Work
from orchestrator.errors import Failed, PlanInvalid
from orchestrator.model.agent import AgentEvent, Finished, Started
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json
from orchestrator.model.plan import Plan
from orchestrator.model.run import RunStatus


def make_plan(work: Work) -> None:
    """Asks for the plan of a run and records its phases; a kill leaves a run that asks again.

    Without a usable plan the run waits for a person, or for more of its budget where that is used up.

    Raises:
        CredentialMissing: the planner's key has no value, or is not accepted; the run can be resumed.
        Refused: the planner cannot be started.
    """
    _count(work)
    asking, refusal = _asking(work), ""
    plan: Plan | None = None
    run = work.run
    planner = planner_for(asking, run.metadata.prompts, on_refused=lambda reason: _refused(work, reason))
    request = plan_request(work.context, work.config, run.task, run.metadata.origin.base)
    try:
        plan = planner.plan(request)
    except (PlanInvalid, Failed) as error:
        refusal = error.message
    finally:
        if asking is not None:
            _settle(work, asking)
    if plan is not None:
        _record(work, plan)
    elif refusal:
        _wait(work, refusal)


def _asking(work: Work) -> Asking | None:
    run = work.run
    step = asks_planner(work.config, run.metadata.options)
    if step is None:
        return None
    before = sum(event.kind is EventKind.PLAN_ASKED for event in work.context.state.events(work.run_id))
    return Asking(
        context=work.context,
        config=work.config,
        options=run.metadata.options,
        step=step,
        run_id=work.run_id,
        base=run.metadata.origin.base,
        transcripts=work.context.paths.run_artifacts_dir(work.run_id),
        stop=work.halted,
        left=remaining(work),
        talk=lambda agent, number: _Talk(work, agent, before + number),
    )


class _Talk:
    """Records one answer of a planner."""

    def __init__(self, work: Work, agent: str, number: int) -> None:
        self._work = work
        self._about: dict[str, Json] = {
            "phase": PLANNING,
            "attempt": 1,
            "round": 1,
            "step": number,
            "agent": agent,
            "task": PLANNER,
        }
        self._recorder = Recorder(work, None, self._about)

    def __enter__(self) -> Self:
        self._recorder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    def take(self, event: AgentEvent) -> None:
        """Records one event."""
        if isinstance(event, Started):
            self._work.context.state.record_event(self._work.run_id, EventKind.PLAN_ASKED, self._about)
        self._recorder.take(event)
        if isinstance(event, Finished):
            record_usage(self._work, event.usage, {**self._about, "model": event.model})


def _refused(work: Work, reason: str) -> None:
    work.context.state.record_event(work.run_id, EventKind.PLAN_REFUSED, {"reason": reason})


def _settle(work: Work, asking: Asking) -> None:
    """Removes the planner's tree and records what it consumed and printed."""
    asking.close()
    encrypt = work.config.artifacts.encrypt
    with work.context.state.transaction():
        _count(work)
        for number in range(1, asking.asked + 1):
            path = asking.transcript(number)
            keep_artifact(work.context, work.run_id, path, None, "transcript", encrypt=encrypt)


def _count(work: Work) -> None:
    """Counts everything that planners of the run have told, those too that were killed with us."""
    planning = planning_told(work)
    if planning != work.run.metadata.progress.planning:
        work.update_progress(lambda progress: replace(progress, planning=planning))


def _record(work: Work, plan: Plan) -> None:
    with work.context.state.transaction():
        work.context.state.create_phases(work.run_id, plan, work.config.execution.max_retries)
        work.set_status(RunStatus.EXECUTING)


def _wait(work: Work, reason: str) -> None:
    state, part = work.context.state, remaining(work).used_up()
    if part is not None:
        with state.transaction():
            wait_for(work, None, reason, MORE[part])
        return
    progress = replace(work.run.metadata.progress, waiting_for="a plan")
    ways = f"Ask again: orchestrator resume {work.run_id}. Or write it: orchestrator run … --plan FILE"
    with state.transaction():
        work.ask_person(None, reason, ways)
        state.update_run_status(work.run_id, RunStatus.WAITING, progress=progress)
