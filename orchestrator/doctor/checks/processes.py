"""Processes and locks: who works here, and what has outlived its owner."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, warn
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.fs.probe import Holder, is_directory_held, is_held, read_record
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


def _locks(context: Context) -> Diagnosis:
    unsafe, held = [], []
    for run_id, path in context.run_locks().items():
        try:
            if is_held(path):
                held.append((f"run {run_id}", read_record(path)))
        except Refused as refusal:
            unsafe.append(refusal.message)
        except OrchestratorError as error:
            unsafe.append(error.message)
    if unsafe:
        return fail(
            "Something that is no lock stands at a lock's name.",
            "Find out who put it there, and move it away.",
            unsafe,
        )
    if is_directory_held(context.located().common_dir):
        held.append(("this repository", read_record(context.paths().locks_dir / "repository.lock")))
    return _of_holders(held)


def _of_holders(held: list[tuple[str, Holder]]) -> Diagnosis:
    lines = [f"{what}: {holder.describe()}" for what, holder in held]
    stopped = [holder for _, holder in held if _is_stopped(holder)]
    if stopped:
        return warn(
            f"A lock is held by a process that is stopped (pid {stopped[0].pid}).",
            f"kill -CONT {stopped[0].pid}",
            lines,
        )
    if held:
        return ok(f"{counted(len(held), 'lock')} in use.", lines)
    return ok("Nobody works here just now.")


def _is_stopped(holder: Holder) -> bool:
    if not holder.pid or (hasattr(os, "uname") and holder.host != os.uname().nodename):
        return False
    try:
        stat = Path(f"/proc/{holder.pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])


CHECKS = (
    Check(
        "processes-leftover",
        "processes",
        "no agent or check outlived its owner",
        "Processes are known by a marker in their environment that names this repository, not its copies.",
        _leftovers,
    ),
    Check(
        "locks-holders",
        "locks",
        "who holds which lock",
        "Locks are the kernel's and end with their holder; lock files are never removed. A link at a "
        "lock's name is not followed.",
        _locks,
        quick=True,
    ),
)
