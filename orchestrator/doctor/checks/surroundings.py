"""The environment and the agents: what of the caller's surroundings decides how runs go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestrator.agents.preset import PRESETS
from orchestrator.agents.programs import find_program
from orchestrator.discovery import ENVIRONMENT
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, ok, skip, warn
from orchestrator.engine.start import NESTED_MARK

_DISTURBING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
)


def _git_variables(context: Context) -> Diagnosis:
    found = [name for name in _DISTURBING if name in context.environment]
    if not found:
        return ok("No variable leads git elsewhere.")
    return warn(
        "Variables for git are set, as they are inside a hook. Our git calls clear them; yours do not.",
        "unset " + " ".join(found),
        (f"{name}={context.environment[name][:100]}" for name in found),
    )


def _own_variables(context: Context) -> Diagnosis:
    named = context.environment.get(ENVIRONMENT)
    if context.environment.get(NESTED_MARK):
        return warn("This is an agent's own session: a run cannot start another run.", f"unset {NESTED_MARK}")
    if named:
        return ok(f"{ENVIRONMENT} says where the state is.", (named,))
    return ok("No variable of ours is set.")


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
        program = agent.command[0] if agent.command else PRESETS[agent.kind].program
        if (
            "{" not in program
            and os.sep not in program
            and find_program(program, context.environment) is None
        ):
            missing.append(f"{name}: {program}")
    if missing:
        return warn("Programs of configured agents are not on PATH.", "orchestrator agents", missing)
    return ok("The programs of all configured agents are there." if agents else "No agent is configured.")


def _machine(context: Context) -> Diagnosis:
    web = context.web()
    evidence = [f"{name} is set" for name in web.environment.evidence]
    if web.links and web.environment.link_form:
        evidence.append(f"ports are reached at {web.environment.link_form}")
    session = context.paths().session_id
    if session is not None:
        evidence.append(f"the session in use is {session}")
    said = web.sentence()
    return ok(said[0].upper() + said[1:] + ".", evidence)


CHECKS = (
    Check(
        "environment-machine",
        "environment",
        "what kind of machine this is, and what follows",
        "Codespaces, Claude Code on the web and CI jobs do not last: there each session keeps a state of its "
        "own, nobody is asked, and room is made when a run ends. `web_mode` and `web` set each by itself.",
        _machine,
        quick=True,
    ),
    Check(
        "environment-git",
        "environment",
        "no GIT_* variable leads git elsewhere",
        "Hooks run with GIT_DIR set; commands started there would act on another repository.",
        _git_variables,
        quick=True,
    ),
    Check(
        "environment-own",
        "environment",
        "whether variables of ours are set",
        "ORCHESTRATOR_DIR moves the state; the marker of an agent's session forbids runs.",
        _own_variables,
        quick=True,
    ),
    Check(
        "environment-umask",
        "environment",
        "others cannot write to new files",
        "Our own files have fixed modes; those of agents follow the umask.",
        _umask,
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
)
