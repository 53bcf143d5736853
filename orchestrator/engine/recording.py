"""Records what an agent reports while it works."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, assert_never

from orchestrator.engine.work import Work
from orchestrator.model.agent import (
    AgentEvent,
    AskedPermission,
    Finished,
    Opened,
    Said,
    Spent,
    Started,
    UsedTool,
)
from orchestrator.model.event import EventKind
from orchestrator.model.run import Execution, Usage

Talk = Opened | Said | UsedTool | AskedPermission | Spent | Finished
Number = TypeVar("Number", int, float)


def record(work: Work, execution: Execution, event: AgentEvent) -> None:
    """Records one event; a `Started` is durable when this returns, `Finished` is recorded with its step."""
    if isinstance(event, Started):
        progress = replace(execution.progress, process=event.process)
        work.context.state.set_execution_progress(execution.id, progress)
    else:
        record_talk(work, event)


def record_talk(work: Work, event: Talk) -> None:
    """Records what an agent tells of its work, whatever it works on."""
    state = work.context.state
    match event:
        case Opened(agent_session, model):
            state.record_event(
                work.run_id, EventKind.AGENT_SESSION, {"agent_session": agent_session, "model": model}
            )
        case Said(text):
            state.record_event(work.run_id, EventKind.AGENT_SAID, {"text": text})
        case UsedTool(tool, detail, reached, call):
            state.record_event(
                work.run_id,
                EventKind.AGENT_TOOL,
                {"tool": tool, "detail": detail, "state": reached, "call": call},
            )
        case AskedPermission(tool, detail, granted):
            state.record_event(
                work.run_id,
                EventKind.AGENT_PERMISSION,
                {"tool": tool, "detail": detail, "granted": granted},
            )
        case Spent(usage):
            record_usage(work, usage)
        case Finished():
            return
        case _:
            assert_never(event)


def record_usage(work: Work, usage: Usage) -> None:
    """Records what the turn has consumed so far."""
    work.context.state.record_event(
        work.run_id,
        EventKind.AGENT_USAGE,
        {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": usage.cost_usd,
            "cpu_s": usage.cpu_s,
            "wall_s": usage.wall_s,
            "peak_memory_bytes": usage.peak_memory_bytes,
        },
    )


def add_usage(one: Usage, other: Usage) -> Usage:
    """Returns both together; what neither metered stays unmetered."""
    return Usage(
        input_tokens=_sum(one.input_tokens, other.input_tokens),
        output_tokens=_sum(one.output_tokens, other.output_tokens),
        cost_usd=_sum(one.cost_usd, other.cost_usd),
        cpu_s=one.cpu_s + other.cpu_s,
        wall_s=one.wall_s + other.wall_s,
        peak_memory_bytes=max(one.peak_memory_bytes, other.peak_memory_bytes),
    )


def _sum(one: Number | None, other: Number | None) -> Number | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
