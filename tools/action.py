"""What `action.yml` does after the installation: `run` or `verify`, the summary, the outputs, annotations.

Standard library only. Every input comes in a variable `INPUT_*`, never in a command line of a shell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LEVELS = {"major": "error", "medium": "warning", "minor": "notice"}


def main(environment: Mapping[str, str]) -> int:
    """Returns the exit status of the job's step: that of `orchestrator run` or `orchestrator verify`."""
    mode = environment.get("INPUT_MODE", "verify")
    if mode not in ("run", "verify"):
        print(f"::error::The input `mode` is `run` or `verify`, not {escaped(mode)}.")
        return 2
    started = call(environment, ["init", "--trust"] if environment.get("INPUT_TRUST") == "true" else ["init"])
    if started.returncode != 0:
        print(started.stderr, file=sys.stderr)
        return started.returncode
    return run(environment) if mode == "run" else verify(environment)


def call(environment: Mapping[str, str], words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Calls the command in the directory that was asked for; what it says on stderr goes to the log."""
    return subprocess.run(
        [environment.get("ORCHESTRATOR", "orchestrator"), *words],
        cwd=environment.get("INPUT_DIRECTORY") or ".",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if words[0] == "init" else None,
        text=True,
        env=dict(environment),
    )


def run(environment: Mapping[str, str]) -> int:
    """Starts a run, and tells summary and outputs of it, however it ended."""
    task = environment.get("INPUT_TASK", "")
    if not task.strip():
        print("::error::The input `task` says what shall be done; mode `run` needs it.")
        return 2
    words = ["run", "--json", *trust(environment)]
    for name in ("agent", "command", "workflow", "base", "run-id", "max-time"):
        value = environment.get("INPUT_" + name.upper().replace("-", "_"), "")
        words += [f"--{name}", value] if value else []
    done = call(environment, [*words, "--", task])
    last = json.loads(lines[-1]) if (lines := done.stdout.splitlines()) else {}
    run_id = str(last.get("run_id", ""))
    outputs(
        environment,
        {
            "run-id": run_id,
            "status": last.get("status"),
            "outcome": last.get("outcome"),
            "branch": str(last.get("branch") or "").removeprefix("refs/heads/"),
            "head": last.get("head"),
            "exit-status": done.returncode,
        },
    )
    if run_id:
        print(call(environment, ["findings", run_id, "--open", "--format", "github"]).stdout, end="")
        summary(environment, call(environment, ["report", run_id]).stdout)
    return done.returncode


def verify(environment: Mapping[str, str]) -> int:
    """Runs the checks on the checkout, and tells what they found."""
    words = ["verify", "--json", *trust(environment)]
    base = environment.get("INPUT_BASE", "")
    done = call(environment, [*words, *(["--base", base] if base else [])])
    found = json.loads(done.stdout) if done.stdout.strip() else {}
    holds = done.returncode == 0
    outputs(
        environment,
        {
            "status": "passed" if holds else "failed",
            "exit-status": done.returncode,
            "head": found.get("tree"),
        },
    )
    for finding in found.get("findings", []):
        print(annotation(finding))
    summary(environment, as_markdown(found, holds=holds))
    return done.returncode


def trust(environment: Mapping[str, str]) -> list[str]:
    """Returns the flag that trusts the repository for one call, if that was asked for."""
    return ["--trust"] if environment.get("INPUT_TRUST") == "true" else []


def annotation(finding: Mapping[str, Any]) -> str:
    """Returns the workflow command that shows a finding at its line."""
    file, _, line = str(finding.get("location", "")).rpartition(":")
    where = f" file={escaped_property(file)},line={line}" if file and line.isdigit() else ""
    level = LEVELS.get(str(finding.get("severity")), "notice")
    return f"::{level}{where}::{escaped(str(finding.get('message', '')))}"


def escaped(text: str) -> str:
    """Returns a message in which nothing can end a workflow command. Source: actions/toolkit, command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escaped_property(text: str) -> str:
    """Returns the value of a property; only there the runner reads `%3A` and `%2C` back."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")


def as_markdown(found: Mapping[str, Any], *, holds: bool) -> str:
    """Returns what the checks found as a page for the job's summary."""
    rows = [f"## Checks {'passed' if holds else 'failed'}", "", "| check | status |", "|---|---|"]
    rows += [f"| {cell(check['name'])} | {cell(check['status'])} |" for check in found.get("checks", [])]
    rows += ["", *(f"- {cell(sentence)}" for sentence in (*found.get("over", []), *found.get("broken", [])))]
    if found.get("findings"):
        rows += ["", "| finding | severity | place |", "|---|---|---|"]
    rows += [
        f"| {cell(each['message'])} | {cell(each['severity'])} | {cell(each['location'])} |"
        for each in found.get("findings", [])[:100]
    ]
    return "\n".join(rows) + "\n"


def cell(value: object) -> str:
    """Returns a value on one line that ends no table cell."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def outputs(environment: Mapping[str, str], values: Mapping[str, object]) -> None:
    """Writes the step's outputs; a value of several lines becomes one."""
    text = "".join(
        f"{name}={' '.join(str('' if value is None else value).split())}\n" for name, value in values.items()
    )
    append(environment.get("GITHUB_OUTPUT", ""), text)


def summary(environment: Mapping[str, str], text: str) -> None:
    """Adds a page to the summary of the job."""
    append(environment.get("GITHUB_STEP_SUMMARY", ""), text)


def append(path: str, text: str) -> None:
    """Adds text to a file of the runner; outside of one there is none."""
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main(os.environ))
