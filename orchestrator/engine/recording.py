"""Records what an agent reports while it works; what comes fast becomes durable together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from types import TracebackType
from typing import Self, TypeVar, assert_never

from orchestrator.engine.work import Work
from orchestrator.model.agent import (
    AgentEvent,
    AskedPermission,
    Finished,
    Opened,
    Requested,
    Said,
    Spent,
    Started,
    UsedTool,
)
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import Execution, ExecutionProgress, Usage

Number = TypeVar("Number", int, float)

PLANNING = "planning"
"""What events name as the phase of what a planner does."""
GROUP_S = 0.05
"""How long an event may wait for others before it is written with them: a kill loses at most so much."""
_MAX_GROUP = 2000


class Recorder:
    """Records the events of one turn, in order; leaving the context makes the last of them durable.

    What an agent's process and session are is durable when `take` returns. Anything else becomes so within
    50 ms, many events in one transaction: a kill loses at most those of the last 50 ms. Where events come
    faster than they can be written, `take` waits. `about` names the step and goes into what was spent.
    Without an execution (a run that is being planned) process and session are not kept.

    Raises:
        DiskFailed, StateLost: from `take` or at the end; nothing that comes later is recorded.
    """

    def __init__(self, work: Work, execution: Execution | None, about: Mapping[str, Json]) -> None:
        self._work = work
        self._execution = execution
        self._about = dict(about)
        self._progress = execution.progress if execution is not None else ExecutionProgress()
        self._group: list[tuple[EventKind, JsonObject]] = []
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._ends = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._write_groups, name="agent-events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._filled.set()
        self._thread.join()
        if self._failure is None:
            self._write()
        elif error is None:
            raise self._failure

    def take(self, event: AgentEvent) -> None:
        """Records one event; `Finished` is recorded with its step, by whoever ends that."""
        if self._failure is not None:
            raise self._failure
        match event:  # those that come in floods first
            case UsedTool(tool, detail, reached, call):
                facts: JsonObject = {"tool": tool, "detail": detail, "state": reached, "call": call}
                self._add(EventKind.AGENT_TOOL, facts)
            case Said(text):
                self._add(EventKind.AGENT_SAID, {"text": text})
            case Started(process):
                self._advance(process=process)
            case Opened(agent_session, model):
                self._add(EventKind.AGENT_SESSION, {"agent_session": agent_session, "model": model})
                self._advance(agent_session=agent_session)
            case AskedPermission(tool, detail, granted):
                self._add(EventKind.AGENT_PERMISSION, {"tool": tool, "detail": detail, "granted": granted})
            case Requested(host, method, status, size_bytes):
                asked: JsonObject = {"host": host, "method": method, "status": status, "bytes": size_bytes}
                self._add(EventKind.AGENT_REQUEST, asked)
            case Spent(usage, model):
                self._add(EventKind.AGENT_USAGE, usage_facts(usage, {**self._about, "model": model}))
            case Finished():
                pass
            case _:
                assert_never(event)

    def _advance(self, *, process: tuple[int, int] | None = None, agent_session: str | None = None) -> None:
        before = self._progress
        self._progress = replace(
            before,
            agent=str(self._about.get("agent", "")),
            process=before.process if process is None else process,
            agent_session=before.agent_session if agent_session is None else agent_session,
        )
        with self._work.context.state.transaction():
            self._write()
            if self._execution is not None:
                self._work.context.state.set_execution_progress(self._execution.id, self._progress)

    def _add(self, kind: EventKind, facts: JsonObject) -> None:
        with self._lock:
            self._group.append((kind, facts))
            is_full = len(self._group) >= _MAX_GROUP
        if not self._filled.is_set():
            self._filled.set()
        if is_full:
            self._write()

    def _write_groups(self) -> None:
        while True:
            self._filled.wait()
            if self._ends.wait(GROUP_S):
                return
            self._filled.clear()
            try:
                self._write()
            except BaseException as error:
                self._failure = error
                return

    def _write(self) -> None:
        if not self._group:
            return
        state = self._work.context.state
        with state.transaction():  # before the group is taken, so that groups keep their order
            with self._lock:
                group, self._group = self._group, []
            state.record_events(self._work.run_id, group)


def record_usage(work: Work, usage: Usage, about: Mapping[str, Json]) -> None:
    """Records what a turn has consumed, all of it; `about` names its step, agent and model."""
    work.context.state.record_event(work.run_id, EventKind.AGENT_USAGE, usage_facts(usage, about))


def usage_told(work: Work, execution: Execution) -> Usage:
    """Returns what the turn had consumed in which an attempt was broken off, as far as its agent told."""
    step: dict[str, Json] = {
        "phase": execution.phase_id,
        "attempt": execution.attempt,
        "round": execution.progress.rounds.iteration,
        "step": execution.progress.steps_done % len(work.steps) + 1,
    }
    told = Usage()
    for event in work.context.state.events(work.run_id):
        if event.kind is EventKind.AGENT_USAGE and step.items() <= event.data.items():
            told = _usage(event.data)
    return told


def planning_told(work: Work) -> Usage:
    """Returns what the planners of a run have consumed, as far as they told, all answers together."""
    answers: list[Usage] = []
    for event in work.context.state.events(work.run_id):
        if event.kind is EventKind.PLAN_ASKED:
            answers.append(Usage())
        elif event.kind is EventKind.AGENT_USAGE and answers and event.data.get("phase") == PLANNING:
            answers[-1] = _usage(event.data)  # each tells all that its turn has consumed so far
    return reduce(add_usage, answers, Usage())


def usage_facts(usage: Usage, about: Mapping[str, Json]) -> dict[str, Json]:
    """Returns what an event tells of what was consumed."""
    return {
        **about,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
        "turns": usage.turns,
        "cpu_s": usage.cpu_s,
        "wall_s": usage.wall_s,
        "peak_memory_bytes": usage.peak_memory_bytes,
    }


def _usage(facts: JsonObject) -> Usage:
    def whole(name: str) -> int | None:
        value = facts.get(name)
        return value if isinstance(value, int) else None

    def number(name: str) -> float | None:
        value = facts.get(name)
        return float(value) if isinstance(value, int | float) else None

    return Usage(
        input_tokens=whole("input_tokens"),
        output_tokens=whole("output_tokens"),
        cost_usd=number("cost_usd"),
        cached_tokens=whole("cached_tokens"),
        turns=whole("turns"),
        cpu_s=number("cpu_s") or 0.0,
        wall_s=number("wall_s") or 0.0,
        peak_memory_bytes=whole("peak_memory_bytes") or 0,
    )


def add_usage(one: Usage, other: Usage) -> Usage:
    """Returns both together; what neither metered stays unmetered."""
    return Usage(
        input_tokens=_sum(one.input_tokens, other.input_tokens),
        output_tokens=_sum(one.output_tokens, other.output_tokens),
        cost_usd=_sum(one.cost_usd, other.cost_usd),
        cached_tokens=_sum(one.cached_tokens, other.cached_tokens),
        turns=_sum(one.turns, other.turns),
        cpu_s=one.cpu_s + other.cpu_s,
        wall_s=one.wall_s + other.wall_s,
        peak_memory_bytes=max(one.peak_memory_bytes, other.peak_memory_bytes),
    )


def _sum(one: Number | None, other: Number | None) -> Number | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
