"""What `status` says: problems first, then runs. Standard library only, for the front door."""

from __future__ import annotations

import os
import sys

from orchestrator.cli.screen import Screen
from orchestrator.cli.spent_view import show_spent, spent_fields
from orchestrator.cli.table import columns, screen_width
from orchestrator.cli.terminal import Styled
from orchestrator.cli.words import age, counted
from orchestrator.fs.probe import is_held
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.status_about import About
    from orchestrator.model.json import Json
    from orchestrator.state.peek import Glance, RunGlance

_AT_WORK = ("planning", "executing", "verifying")
_TITLES = ("RUN", "STATUS", "PHASE", "AGENT", "GATES", "PROGRESS", "SPENT", "BRANCH", "TASK")
_STYLES = {
    "completed": "green",
    "failed": "red",
    "interrupted": "yellow",
    "waiting": "yellow",
    "cancelled": "dim",
}


def living(glance: Glance, state_dir: str) -> set[str]:
    """Returns the ids of runs that a process works on, asking only for those that have not ended."""
    locks = os.path.join(state_dir, names.LOCKS)
    return {
        run["id"]
        for run in glance["runs"]
        if run["status"] in (*_AT_WORK, "waiting") and is_held(os.path.join(locks, f"run-{run['id']}.lock"))
    }


def show(
    screen: Screen, glance: Glance, alive: set[str], *, about: About, warnings: Sequence[str] = ()
) -> None:
    """Prints the status as text or as the object of CONTRACT.md."""
    if screen.as_json:
        screen.json({**document(glance, alive, warnings), **about.fields()})
        return
    about.say(screen)
    show_runs(screen, glance, alive, warnings)


def show_runs(screen: Screen, glance: Glance, alive: set[str], warnings: Sequence[str] = ()) -> None:
    """Prints problems first, then the runs, as text."""
    for warning in (*warnings, *_notices(glance)):
        screen.warn(warning)
    problems = [line for run in glance["runs"] for line in _problems(run, run["id"] in alive)]
    if glance["interventions"]:
        count = counted(glance["interventions"], "intervention")
        problems.append((Styled(f"{count} open", "yellow"), "see", "orchestrator interventions"))
    for parts in columns(problems):
        screen.out(*parts)
    if problems:
        screen.out("")
    if not glance["runs"]:
        screen.note('No runs yet. Start one: orchestrator run "what shall be done"')
        return
    rows: list[tuple[str | Styled, ...]] = [_TITLES]
    rows += [_row(run, run["id"] in alive) for run in glance["runs"]]
    for parts in columns(rows, width=screen_width(sys.stdout)):
        screen.out(*parts)
    for run in glance["runs"]:
        show_spent(screen, run["spent"])
    if glance["more"]:
        screen.note("Older runs are left out; name one to see it.")


def document(glance: Glance, alive: set[str], warnings: Sequence[str] = ()) -> dict[str, Json]:
    """Returns the fields of `status --json`."""
    return {
        "runs": [_run_document(run, run["id"] in alive) for run in glance["runs"]],
        "interventions": glance["interventions"],
        "more": glance["more"],
        "warnings": [*warnings, *_notices(glance)],
    }


def short_branch(branch: str | None) -> str | None:
    """Returns a branch as git's own commands show it."""
    return branch.removeprefix("refs/heads/") if branch else None


def _run_document(run: RunGlance, alive: bool) -> dict[str, Json]:
    usage = run["usage"]
    return {
        "id": run["id"],
        "task": run["task"],
        "status": run["status"],
        "alive": alive,
        "interrupted": run["status"] in _AT_WORK and not alive,
        "branch": short_branch(run["branch"]),
        "base": run["base"],
        "created_at": run["created_at"],
        "last_event_at": run["last_event_at"],
        "phases": [
            {
                "id": p["id"],
                "name": p["name"],
                "status": p["status"],
                "attempts": p["attempts"],
                "rounds": p["rounds"],
                "stopped": p["stopped"],
            }
            for p in run["phases"]
        ],
        "agent": run["agent"],
        "outcome": run["outcome"],
        "verdict": run["verdict"],
        "waiting_for": run["waiting_for"],
        "wake_at": run["wake_at"],
        "cancel_requested": run["cancel_requested"],
        "interventions": run["interventions"],
        "usage": {
            "input_tokens": usage["input_tokens"],
            "output_tokens": usage["output_tokens"],
            "cost_usd": usage["cost_usd"],
        },
        "spent": [spent_fields(step) for step in run["spent"]],
    }


def _notices(glance: Glance) -> list[str]:
    if not glance["snapshot"]:
        return []
    return ["This is a snapshot: the state lies on a read-only file system and was copied to be read."]


def _problems(run: RunGlance, alive: bool) -> list[tuple[str | Styled, ...]]:
    word = _word(run, alive)
    if word == "interrupted":
        quiet = f"nobody has worked on it for {age(run['last_event_at'] or run['created_at'])}"
        return [(Styled(f"{run['id']} was interrupted", "yellow"), quiet, f"orchestrator resume {run['id']}")]
    if word == "waiting":
        what = f"for {run['waiting_for'] or 'you'}"
        until = f", until {run['wake_at'][:16]}Z" if run["wake_at"] else ""
        way = f"orchestrator resume {run['id']}" if run["base"] else "orchestrator migrate"
        return [(Styled(f"{run['id']} waits", "yellow"), what + until, way)]
    if word == "failed":
        return [(Styled(f"{run['id']} failed", "red"), "see why", f"orchestrator report {run['id']}")]
    return []


def _word(run: RunGlance, alive: bool) -> str:
    if run["status"] in _AT_WORK:
        if not alive:
            return "interrupted"
        return "cancelling" if run["cancel_requested"] else run["status"]
    return run["status"]


def _row(run: RunGlance, alive: bool) -> tuple[str | Styled, ...]:
    word = _word(run, alive)
    return (
        run["id"],
        Styled(word, _STYLES.get(word, "cyan")),
        _phase(run),
        run["agent"] or "-",
        _gates(run),
        _ago(run),
        _spent(run),
        short_branch(run["branch"]) or "-",
        run["task"],
    )


def _ago(run: RunGlance) -> str:
    past = age(run["last_event_at"] or run["created_at"])
    return f"{past} ago" if past else "-"


def _gates(run: RunGlance) -> str:
    """Returns what was proved, or what the last verdict decided while nothing is proved yet."""
    return run["outcome"] or {"retry": "not met yet", "abort": "not met"}.get(run["verdict"] or "", "-")


def _phase(run: RunGlance) -> str:
    done = sum(phase["status"] == "completed" for phase in run["phases"])
    total = len(run["phases"])
    now = next((p for p in run["phases"] if p["status"] in ("in_progress", "waiting", "failed")), None)
    tries = f", attempt {now['attempts']}" if now is not None and now["attempts"] > 1 else ""
    rounds = f", round {now['rounds']}" if now is not None and now["rounds"] > 1 else ""
    return f"{done}/{total}" + (f" {now['id']}{tries}{rounds}" if now is not None else "")


def _spent(run: RunGlance) -> str:
    usage = run["usage"]
    if usage["cost_usd"] is not None:
        return f"{usage['cost_usd']:.{2 if usage['cost_usd'] >= 0.01 else 4}f} USD"
    tokens = (usage["input_tokens"] or 0) + (usage["output_tokens"] or 0)
    return f"{tokens} tokens" if tokens else "-"
