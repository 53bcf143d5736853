"""What it costs to hold many agents at once, and how fast the events of one become durable."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.place import Place, Sizes
from benchmarks.recording import running
from benchmarks.rounds import Result, interleave, told
from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.turn import Turn
from orchestrator.engine.work import Work
from orchestrator.model.event import EventKind
from orchestrator.process.command import Command
from orchestrator.process.spawn import minimal_environment, supervise

_WATCHED_S = 2.0
"""How long processor time is counted: what is held does nothing, so a short window would count no tick."""
_SETTLED_S = 3.0
"""How long the starts of all supervisors are let pass before anything is counted."""
_TICKS = os.sysconf("SC_CLK_TCK")
_TOOL = (
    '{"type":"assistant","message":{"content":'
    '[{"type":"tool_use","id":"t%d","name":"Read","input":{"file_path":"src/f%d.py"}}]}}'
)
_END = (
    '{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s",'
    '"usage":{"input_tokens":1,"output_tokens":1}}'
)
_FLOOD = f"""#!{sys.executable} -IS
import sys
sys.stdout.write('{{"type":"system","subtype":"init","session_id":"s","model":"m"}}\\n')
sys.stdout.writelines({_TOOL!r} % (n, n) + '\\n' for n in range(int(sys.argv[-1])))
print({_END!r})
"""


def held(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures agents that do nothing (`sleep`), each under its supervisor, all owned by this process.

    Memory is the proportional share (PSS) of agent and supervisor, and what this process grew by, for each
    agent; processor time is that of all of them in `_WATCHED_S` seconds. The floor is the bare `sleep`.
    """
    before = _pss_mib(os.getpid())
    with _held(place.root, sizes.held_agents) as (agents, supervisors):
        time.sleep(_SETTLED_S)
        memory, bare, spent = [], [], []
        for _ in range(max(2, rounds)):
            used = _cpu_s([os.getpid(), *agents, *supervisors])
            time.sleep(_WATCHED_S)
            spent.append((_cpu_s([os.getpid(), *agents, *supervisors]) - used) * 1e3 / _WATCHED_S)
            bare.append(sum(map(_pss_mib, agents)) / len(agents))
            grown = _pss_mib(os.getpid()) - before
            memory.append((sum(map(_pss_mib, supervisors)) + grown) / len(agents) + bare[-1])
    what = f"each of {sizes.held_agents} agents held at once, supervisor and our own share included"
    floor = sum(bare) / len(bare)
    each = [ms / sizes.held_agents for ms in spent]
    return [
        replace(told("held", f"memory of {what}", "MiB", memory, goal=12), floor_ms=floor),
        replace(told("held", f"processor time of {what}", "ms/s", each, goal=1), floor_ms=max(floor, 1e-9)),
    ]


def events(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures the tool events of one agent, from its stream of JSON lines until all are durable.

    The agent is a program that prints what Claude Code prints; the floor is to run it and read its output.
    """
    program = place.root / "bin" / "claude"
    program.parent.mkdir(exist_ok=True)
    program.write_text(_FLOOD)
    program.chmod(0o755)
    variables = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    agent = PresetAgent("claude", PRESETS["claude"], args=(str(sizes.agent_events),), variables=variables)
    with running(place.repository("events", 3)) as (work, action):
        tree = work.context.trees.create(work.run_id, "main", work.run.metadata.origin.base)
        turn = Turn(work, action, work.steps[0], agent, tree, {})
        timings = interleave(
            {"read": lambda: _read(program, sizes.agent_events, place.root), "turn": lambda: _take(turn)},
            rounds,
        )
        count = _count(work, action) / (rounds + 1)
    assert count == sizes.agent_events, f"{count} of {sizes.agent_events} events were recorded"
    speeds = [sizes.agent_events / seconds for seconds in timings.wall["turn"]]
    what = f"{sizes.agent_events:,} uses of tools from one agent's stream, durable"
    floor = timings.median_ms("read")
    return [
        replace(told("events", what, "events/s", speeds, goal=30_000), floor_ms=floor),
        timings.ratio("events", f"{what}, to reading its output", of="turn", to="read"),
    ]


def _take(turn: Turn) -> None:
    finished = turn.take()
    assert finished.answer == "done", finished.detail


def _read(program: Path, count: int, place: Path) -> None:
    seen = 0

    def count_bytes(data: bytes) -> None:
        nonlocal seen
        seen += len(data)

    argv = (str(program), str(count))
    command = Command(argv=argv, cwd=place, environment=minimal_environment({}))
    supervise(command, on_started=lambda _: None, on_output=count_bytes)
    assert seen


def _count(work: Work, action: RunStep) -> int:
    return sum(event.kind is EventKind.AGENT_TOOL for event in work.context.state.events(work.run_id))


@contextmanager
def _held(place: Path, count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yields the process ids of agents that sleep, and of their supervisors."""
    stop, started = threading.Event(), list[tuple[int, int]]()

    def hold() -> None:
        command = Command(argv=("sleep", "3600"), cwd=place, environment=minimal_environment({}))
        supervise(command, on_started=started.append, cancelled=stop.is_set)

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    while len(started) < count:
        time.sleep(0.05)
    try:
        agents = [process[0] for process in started]
        yield agents, [_parent(pid) for pid in agents]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _cpu_s(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS
