"""An agent that leaves a known secret in its files is asked to take it out."""

from __future__ import annotations

import json
import sys

import pytest

from orchestrator.model.finding import Category, Severity
from orchestrator.model.ids import RunId
from orchestrator.model.run import RunStatus
from tests.engine.scene import Scene

SECRET = "c4n4ryV4lue7hatN0body"

LEARNS = """
import os, sys
from pathlib import Path
prompt = sys.stdin.read()
Path("app.py").write_text("print(2)\\n")
leak = Path("leak.py")
if "leak.py holds the secret API_KEY" in prompt:
    leak.unlink()
else:
    leak.write_text(os.environ["API_KEY"])
"""


def _configure(scene: Scene, *, more: str = "") -> None:
    agent = json.dumps(scene.program("learns", LEARNS).split(" "))
    check = json.dumps([sys.executable, "-c", "pass"])
    scene.configure(
        f"agents:\n  learns: {{kind: command, command: {agent}, stdin: prompt, env: {{API_KEY: {SECRET}}}}}\n"
        "workflows: {default: [{agent: learns, task: implement}]}\n"
        f"verify: {{build: [{check}]}}\n{more}\n"
    )


@pytest.fixture
def run(scene: Scene) -> RunId:
    _configure(scene)
    return scene.run().id


def test_the_agent_is_told_the_name_and_takes_it_out(scene: Scene, run: RunId) -> None:
    with scene.open() as workspace:
        ended = workspace.state.get_run(run)
        found = workspace.state.get_findings(run)
        attempts = workspace.state.get_executions(run)
        checkpoints = workspace.context.checkpoints.list_checkpoints(run)

    leaks = [each for each in found if each.finding.category is Category.SECURITY]
    assert ended.status is RunStatus.COMPLETED
    assert [attempt.attempt for attempt in attempts] == [1, 2]
    assert [(leak.finding.location, leak.resolved) for leak in leaks] == [("leak.py", True)]
    assert leaks[0].finding.severity is Severity.MAJOR
    assert SECRET not in leaks[0].finding.message
    assert all(checkpoint.local_only for checkpoint in checkpoints)
    assert any("stay on this machine" in note for note in ended.metadata.progress.notes)


def test_where_majors_do_not_count_a_leak_is_only_reported(scene: Scene) -> None:
    _configure(scene, more="thresholds: {max_major: null}")

    run = scene.run()

    assert run.status is RunStatus.COMPLETED
    with scene.open() as workspace:
        found = workspace.state.get_findings(run.id, unresolved_only=True)
    assert [each.finding.location for each in found] == ["leak.py"]
