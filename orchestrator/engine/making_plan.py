"""The first part of a run whose task is planned: asks, records the phases, or asks a person."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine.budget import remaining
from orchestrator.engine.keeping import keep_artifact
from orchestrator.engine.planner import Asking, asks_planner, plan_request, planner_for
from orchestrator.engine.recording import add_usage, record_talk, record_usage
from orchestrator.engine.work import Work
from orchestrator.errors import Failed, PlanInvalid
from orchestrator.model.agent import AgentEvent, Finished, Started
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json
from orchestrator.model.plan import Plan
from orchestrator.model.run import RunStatus


def make_plan(work: Work) -> None:
    """Asks for the plan of a run and records its phases; a kill leaves a run that asks again.

    Without a usable plan the run waits for a person.

    Raises:
        CredentialMissing: the planner's key has no value; nothing has begun.
        Refused: the planner cannot be started.
    """
    asking = _asking(work)
    run = work.run
    planner = planner_for(asking, run.metadata.prompts, on_refused=lambda reason: _refused(work, reason))
    request = plan_request(work.context, work.config, run.task, run.metadata.origin.base)
    try:
        plan = planner.plan(request)
    except (PlanInvalid, Failed) as error:
        _wait_for_person(work, error.message)
        return
    finally:
        if asking is not None:
            _settle(work, asking)
    if plan is not None:
        _record(work, plan)


def _asking(work: Work) -> Asking | None:
    run = work.run
    step = asks_planner(work.config, run.metadata.options)
    if step is None:
        return None
    return Asking(
        context=work.context,
        config=work.config,
        options=run.metadata.options,
        step=step,
        run_id=work.run_id,
        base=run.metadata.origin.base,
        transcripts=work.context.paths.run_artifacts_dir(work.run_id),
        stop=work.halted,
        timeout_s=remaining(work).time_s,
        on_event=lambda number, event: _tell(work, step.agent or "", number, event),
    )


def _tell(work: Work, agent: str, number: int, event: AgentEvent) -> None:
    about: dict[str, Json] = {"phase": "planning", "attempt": number, "round": 1, "step": 1, "agent": agent}
    if isinstance(event, Started):
        work.context.state.record_event(work.run_id, EventKind.PLAN_ASKED, {"agent": agent, "answer": number})
    elif isinstance(event, Finished):
        record_usage(work, event.usage, about | {"model": event.model})
    else:
        record_talk(work, event, about)


def _refused(work: Work, reason: str) -> None:
    work.context.state.record_event(work.run_id, EventKind.PLAN_REFUSED, {"reason": reason})


def _settle(work: Work, asking: Asking) -> None:
    """Removes the planner's tree and records what it consumed and printed."""
    asking.close()
    encrypt = work.config.artifacts.encrypt
    with work.context.state.transaction():
        work.update_progress(lambda p: replace(p, planning=add_usage(p.planning, asking.usage)))
        for number in range(1, asking.asked + 1):
            path = asking.transcript(number)
            keep_artifact(work.context, work.run_id, path, None, "transcript", encrypt=encrypt)


def _record(work: Work, plan: Plan) -> None:
    with work.context.state.transaction():
        work.context.state.create_phases(work.run_id, plan, work.config.execution.max_retries)
        work.set_status(RunStatus.EXECUTING)


def _wait_for_person(work: Work, reason: str) -> None:
    state = work.context.state
    progress = replace(work.run.metadata.progress, waiting_for="a plan")
    ways = f"Ask again: orchestrator resume {work.run_id}. Or write it: orchestrator run … --plan FILE"
    with state.transaction():
        work.ask_person(None, reason, ways)
        state.update_run_status(work.run_id, RunStatus.WAITING, progress=progress)
