"""Scripted agents: small programs that play coding agents, each a kind `command` that reads its prompt."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.engine.scene import Scene

PLAYER = """
    import json, pathlib, re, sys, time

    name, told = sys.argv[1], pathlib.Path(sys.argv[2])
    prompt = sys.stdin.read()
    kind = re.search(r"Your part in it: (\\w+)", prompt)
    kind = kind[1] if kind else "planner"
    said = json.loads((told / "script.json").read_text())
    count = len(list(told.glob("prompt-*")))
    (told / f"prompt-{count:02d}-{name}-{kind}.txt").write_text(prompt)
    turns = said.get(f"{name}/{kind}", [])
    mine = len(list(told.glob(f"prompt-*-{name}-{kind}.txt"))) - 1
    turn = turns[min(mine, len(turns) - 1)] if turns else {}
    for path, text in turn.get("write", {}).items():
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write(text)
    for path, text in turn.get("set", {}).items():
        pathlib.Path(path).write_text(text)
    if turn.get("count"):
        with open(turn["count"], "a") as file:
            file.write(f"{mine}\\n")
    if turn.get("hang"):
        time.sleep(60)
    answer = turn.get("answer", "Done.")
    print(answer if isinstance(answer, str) else json.dumps(answer))
    sys.exit(turn.get("status", 0))
"""


class Cast:
    """The agents of a scene and what they are to do, by `agent/task`; `prompts` is what they were asked."""

    def __init__(self, scene: Scene, told: Path) -> None:
        self._scene = scene
        self.told = told
        told.mkdir(exist_ok=True)
        scene.program("player", PLAYER)
        self.script({})

    def script(self, turns: Mapping[str, list[Mapping[str, object]]]) -> None:
        """Says what each agent does in its first, second, … turn of a task; the last is repeated."""
        (self.told / "script.json").write_text(json.dumps(turns))

    def agents(self, *names: str) -> str:
        """Returns the configuration of agents of these names."""
        import sys

        player = self._scene.programs / "player.py"
        lines = ["agents:"]
        for name in names:
            words = json.dumps([sys.executable, str(player), name, str(self.told)])
            lines.append(f"  {name}: {{kind: command, stdin: prompt, command: {words}}}")
        return "\n".join(lines) + "\n"

    def configure(self, text: str, *names: str) -> None:
        """Writes workflow.yaml with these agents and a text."""
        self._scene.configure("")
        path = self._scene.root / ".orchestrator" / "workflow.yaml"
        path.write_text(path.read_text() + self.agents(*names) + textwrap.dedent(text))

    @property
    def turns(self) -> list[str]:
        """Returns who was asked for what, in order: `gemini-review`."""
        return [path.stem.split("-", 2)[2] for path in sorted(self.told.glob("prompt-*"))]

    def prompts(self, turn: str) -> list[str]:
        """Returns the prompts of an agent for a task, in order."""
        return [path.read_text() for path in sorted(self.told.glob(f"prompt-*-{turn}.txt"))]


def finding(message: str, location: str = "app.py:1", severity: str = "medium") -> dict[str, str]:
    """Returns a finding as a reviewer gives it."""
    return {"severity": severity, "category": "custom", "location": location, "message": message}
