"""Processes and locks: who works here, and what has outlived its owner."""

from __future__ import annotations

from itertools import chain

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, ok, warn
from orchestrator.process import leftovers
from orchestrator.process.leftovers import Leftover


def orphans(context: Context) -> list[Leftover]:
    """Returns the processes of this repository whose run no process works on.

    Where a run lives and the state cannot tell whose a process is, none is called an orphan.
    """
    found = leftovers.find(context.marker())
    living = context.living.peek() or {}
    if not living:
        return found
    state = context.state.peek()
    if state is None:
        return []
    busy: set[str] = set(living)
    for known in chain((state,), context.other_states()):
        busy |= {execution.id for run_id in living for execution in known.get_executions(run_id)}
    return [each for each in found if each.marker.partition("/")[2].removeprefix("merge-") not in busy]


def _leftovers(context: Context) -> Diagnosis:
    found = orphans(context)
    if not found:
        return ok("No process was left behind.")
    return warn(
        f"{counted(len(found), 'process', 'processes')} outlived the command that started them.",
        "orchestrator doctor --fix",
        (f"pid {each.pid}: {each.command[:100]}" for each in found),
        fixable=True,
    )


CHECKS = (
    Check(
        "processes-leftover",
        "processes",
        "no agent or check outlived its owner",
        "Processes are known by a marker in their environment that names this repository, not its copies.",
        _leftovers,
    ),
)
