"""The environment and the agents: what of the caller's surroundings decides how runs go."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from orchestrator.agents.homes import login_of
from orchestrator.agents.preset import PRESETS
from orchestrator.agents.programs import find_program
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, ok, skip, warn
from orchestrator.model.agent import Login

_CLOCK_TOLERANCE_S = 86400.0
"""Authors' clocks differ by minutes, and somebody's time zone may be wrong by hours."""


def _umask(context: Context) -> Diagnosis:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return skip("This system does not tell.")
    said = next((line.split()[1] for line in lines if line.startswith("Umask:")), "")
    if not said:
        return skip("This system does not tell.")
    if int(said, 8) & 0o002:
        return ok(f"The umask is {said}.")
    return warn(f"The umask is {said}: others may write to files that you and agents make.", "umask 022")


def _clock(context: Context) -> Diagnosis:
    if context.head()[0] is None:
        return skip("There is no commit to compare it with.")
    said = context.git().text("log", "-1", "--format=%ct", "HEAD")
    ahead_s = int(said) - time.time()
    if ahead_s > _CLOCK_TOLERANCE_S:
        return warn(
            f"The newest commit was made {ahead_s / 3600:,.0f} h from now: this clock or another was wrong.",
            "Set the clock of this machine, if it is this one.",
        )
    return ok("The clock is not behind the newest commit.")


def _python(context: Context) -> Diagnosis:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.getfilesystemencoding().lower() not in ("utf-8", "utf8"):
        return warn(
            f"Python {version} takes file names for {sys.getfilesystemencoding()}.", "export LC_ALL=C.UTF-8"
        )
    return ok(f"Python {version}, file names in UTF-8.", (sys.executable,))


def _on_path(context: Context) -> Diagnosis:
    found = {name: find_program(preset.program, context.environment) for name, preset in PRESETS.items()}
    present = [f"{name}: {path}" for name, path in found.items() if path]
    if present:
        return ok("A coding agent is installed.", present)
    return warn(
        f"No coding agent is on PATH (looked for {', '.join(found)}).",
        'Install one, or name a command: orchestrator run "…" --command "ruff check --fix ."',
    )


def _configured(context: Context) -> Diagnosis:
    agents = context.loaded().config.agents
    missing = []
    for name, agent in agents.items():
        preset = PRESETS.get(agent.kind)
        program = agent.command[0] if agent.command else preset.program if preset is not None else ""
        if (
            program
            and "{" not in program
            and os.sep not in program
            and find_program(program, context.environment) is None
        ):
            missing.append(f"{name}: {program}")
    if missing:
        return warn("Programs of configured agents are not on PATH.", "orchestrator agents", missing)
    return ok("The programs of all configured agents are there." if agents else "No agent is configured.")


def _logins(context: Context) -> Diagnosis:
    config, environment = context.loaded().config, context.environment
    without = []
    for name, agent in config.agents.items():
        preset = PRESETS.get(agent.kind)
        if preset is None or find_program(preset.program, environment) is None:
            continue
        given = {*agent.env, *agent.secrets}
        keys = tuple(key for key in preset.passed if key.endswith(("_KEY", "_TOKEN")))
        if not given & set(keys) and login_of(preset.home, keys, environment) is Login.NONE:
            without.append(f"{name}: {preset.home.log_in}")
    if without:
        return warn(
            "Configured agents have no key, and nobody is logged in.", without[0].partition(": ")[2], without
        )
    return ok("Every configured agent that is installed has a key or a login, as far as files tell.")


def _last_seen(context: Context) -> Diagnosis:
    failing = [
        f"{name}: {seen['what']} at {seen['at'][:16]}Z, {seen['how']}"
        for name, seen in context.state().agents_last_seen().items()
        if not seen["ok"]
    ]
    if failing:
        return warn("Agents failed when they were last seen.", "orchestrator agents check", failing)
    return ok("No agent failed when it was last checked or worked.")


CHECKS = (
    Check(
        "environment-umask",
        "environment",
        "others cannot write to new files",
        "Our own files have fixed modes; those of agents follow the umask.",
        _umask,
    ),
    Check(
        "environment-clock",
        "environment",
        "the clock is not behind the newest commit",
        "Runs, locks and reports carry the time of this machine; no decision rests on it alone.",
        _clock,
    ),
    Check(
        "environment-python",
        "environment",
        "Python takes file names for UTF-8",
        "Other encodings show names wrongly, though nothing is lost.",
        _python,
    ),
    Check(
        "agents-on-path",
        "agents",
        "a coding agent is on PATH",
        "The first one found is used where none is named. Looked for by name; nothing is started.",
        _on_path,
    ),
    Check(
        "agents-configured",
        "agents",
        "the programs of configured agents exist",
        "An agent whose program is missing is refused when a run starts.",
        _configured,
    ),
    Check(
        "agents-login",
        "agents",
        "configured agents have a key or a login",
        "Looked for in variables, `secrets:` and files; no service is asked.",
        _logins,
    ),
    Check(
        "agents-last-seen",
        "agents",
        "no agent failed when it was last seen",
        "From `agents check` and from the steps of runs, as they were recorded.",
        _last_seen,
    ),
)
