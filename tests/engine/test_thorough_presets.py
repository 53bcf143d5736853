"""The workflow `thorough` with the agents it names: programs of these names that print what those print."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.model.run import RunStatus
from tests.conftest import GitCall
from tests.engine.agents_on_path import finding
from tests.engine.scene import Scene
from tests.engine.test_workflows import THOROUGH, rounds

RECORDED = Path(__file__).parents[1] / "agents" / "recorded"
VERSIONS = {
    "codex": "codex-cli 0.169.0",
    "copilot": "1.0.102",
    "gemini": "0.61.0",
    "claude": "2.1.197 (Claude Code)",
}
PROGRAM = """#!{python}
import json, pathlib, re, sys

name, version = {name!r}, {version!r}
if "--version" in sys.argv:
    sys.exit(print(version))
prompt = next(word for word in sys.argv if "Your part in it" in word)
kind = re.search(r"Your part in it: (\\w+)", prompt)[1]
log = pathlib.Path({log!r})
turns = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*turns, f"{{name}} {{kind}}"]))
answer = "Done."
if kind in ("review", "suggestions"):
    found = {findings!r}
    answer = "Here:\\n```json\\n" + json.dumps({{"findings": found}}) + "\\n```"
else:
    pathlib.Path(f"{{name}}.txt").write_text(str(len(turns)))
for line in pathlib.Path({recorded!r}).read_text().splitlines():
    event = json.loads(line)
    for place in ("result", "content", "text"):
        for part in (event, event.get("data"), event.get("item")):
            if isinstance(part, dict) and str(part.get(place, "")).startswith("I wrote"):
                part[place] = answer
    if event.get("delta") and event["content"].startswith("hello"):
        continue
    print(json.dumps(event))
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the four agents on PATH and returns the file in which they note who was asked for what."""
    log, place = tmp_path / "turns", tmp_path / "bin"
    place.mkdir(exist_ok=True)
    for name, version in VERSIONS.items():
        findings = [finding(f"{name} says so")]
        program = place / name
        program.write_text(
            PROGRAM.format(
                python=sys.executable,
                name=name,
                version=version,
                log=str(log),
                findings=findings,
                recorded=str(RECORDED / f"{name}-write.jsonl"),
            )
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("IS_SANDBOX", "1")
    for key in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "GH_TOKEN"):
        monkeypatch.setenv(key, "none-of-these-is-used")
    return log


def test_thorough_runs_with_four_agents_and_every_answer_is_understood(
    scene: Scene, installed: Path, git: GitCall
) -> None:
    path = scene.root / ".orchestrator" / "workflow.yaml"
    headless = "".join(f"  {name}: {{via: headless}}\n" for name in VERSIONS)
    path.write_text(path.read_text() + "agents:\n" + headless + THOROUGH)
    scene.environment = dict(os.environ)

    run = scene.run(run_id="one", options={"workflow": "thorough"})

    one = ["codex implement", "copilot suggestions", "gemini review", "claude refine", "gemini review"]
    assert run.status is RunStatus.COMPLETED
    assert installed.read_text().splitlines() == one
    brought = [(r["suggestions"], r["stopped"]) for r in rounds(scene, "one")]
    assert brought == [(2, "few suggestions")]
    assert git(scene.root, "show", "orchestrator/one:claude.txt") == "3"
    with scene.open() as workspace:
        found = [r.finding for r in workspace.state.get_findings(run.id)]
        [execution] = workspace.state.get_executions(run.id)
    assert sorted({source for each in found for source in each.sources}) == ["copilot", "gemini"]
    assert execution.progress.usage.input_tokens is not None
