"""Makes the plan of a task without a run: `plan` shows it, and nothing of it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from orchestrator.config.prompts import SuppliedPrompt, check_config_prompts
from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.planner import Asking, asks_planner, plan_request, planner_for
from orchestrator.engine.start import check_place, check_task
from orchestrator.engine.verification import drop_base
from orchestrator.errors import Failed, PlanInvalid
from orchestrator.model.agent import AgentEvent
from orchestrator.model.ids import ObjectId, RunId, new_run_id
from orchestrator.model.plan import Plan
from orchestrator.model.run import RunOptions, Usage


@dataclass(frozen=True, slots=True)
class PlanWish:
    """The task to plan, at which commit (None: HEAD), with the templates that the repository supplies."""

    task: str
    base: str | None
    config: Config
    prompts: tuple[SuppliedPrompt, ...] = ()
    options: RunOptions = field(default_factory=RunOptions)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, who was asked for it (None: nobody), and what that consumed; no `plan` when it was stopped."""

    plan: Plan | None
    planner: str | None
    usage: Usage


def plan_only(
    context: EngineContext,
    wish: PlanWish,
    *,
    stop: Callable[[], bool],
    on_event: Callable[[int, AgentEvent], None] = lambda number, event: None,
    on_refused: Callable[[str], None] = lambda reason: None,
) -> Planned:
    """Returns the plan of a task; what asking for it needed is removed again, also after a failure.

    Raises:
        Refused: the task, the base, a template or the planner cannot be used.
        CredentialMissing: the planner's key has no value.
        Failed: `planner-failed`; `plan-unusable`, three answers held no usable plan.
    """
    check_task(wish.task)
    check_place(context)
    check_config_prompts(wish.config, wish.prompts)
    base = context.repository.resolve(wish.base or "HEAD")
    request = plan_request(context, wish.config, wish.task, base)
    asking = _asking(context, wish, base, stop, on_event)
    templates = tuple((prompt.kind, prompt.text) for prompt in wish.prompts)
    try:
        plan = planner_for(asking, templates, on_refused=on_refused).plan(request)
    except PlanInvalid as error:
        hint = "Write it yourself, as a file: orchestrator run … --plan FILE"
        raise Failed(error.message, code="plan-unusable", hint=hint) from error
    finally:
        if asking is not None:
            asking.close()
            drop_base(context, asking.run_id)
            context.disk.remove_tree(asking.transcripts)
    if asking is None:
        return Planned(plan, None, Usage())
    return Planned(plan, asking.step.agent, asking.usage)


def _asking(
    context: EngineContext,
    wish: PlanWish,
    base: ObjectId,
    stop: Callable[[], bool],
    on_event: Callable[[int, AgentEvent], None],
) -> Asking | None:
    step = asks_planner(wish.config, wish.options)
    if step is None:
        return None
    run_id = RunId(f"plan-{new_run_id()}")
    return Asking(
        context=context,
        config=wish.config,
        options=wish.options,
        step=step,
        run_id=run_id,
        base=base,
        transcripts=context.paths.tmp_dir / run_id,
        stop=stop,
        talk=lambda agent, number: _Talk(number, on_event),
    )


class _Talk:
    """Tells somebody what an agent reports."""

    def __init__(self, number: int, on_event: Callable[[int, AgentEvent], None]) -> None:
        self._number = number
        self._on_event = on_event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def take(self, event: AgentEvent) -> None:
        """Tells of one event."""
        self._on_event(self._number, event)
