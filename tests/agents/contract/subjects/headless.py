"""The five presets, played by one small program that prints their recorded shapes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from orchestrator.agents.preset import PresetAgent
from orchestrator.agents.presets import PRESETS
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract.stage import ANSWER, SECRET, Play, imported
from tests.agents.contract.subject import Subject

RECORDED = Path(__file__).parents[2] / "recorded"
_SAID = {
    "claude": "I wrote hello.py.",
    "codex": "I wrote hello.txt.",
    "gemini": "hello.py.",
    "copilot": "I wrote hello.py.",
    "opencode": "I wrote hello.py.",
}
_DENIED = {
    "claude": "claude-denied",
    "codex": "codex-declined",
    "gemini": "gemini-denied",
    "copilot": "copilot-denied",
    "opencode": "opencode-rejected",
}
_PROGRAM = """#!{python} -IS
{imported}
sys.stdout.write({text!r})
sys.stdout.flush()
{last}
"""
_LASTS = {
    Play.WRITE: "stage.write()",
    Play.FAIL: "sys.exit('Error: it did not work')",
    Play.DENIED: "",
    Play.DENIED_FAIL: "sys.exit(3)",
    Play.HANG: "stage.hang()",
    Play.LEAK: "",
}


def text_of(name: str, play: Play) -> str:
    """Returns what the agent prints in a play."""
    if play in (Play.FAIL, Play.HANG):
        return ""
    denied = play in (Play.DENIED, Play.DENIED_FAIL)
    text = (RECORDED / f"{_DENIED[name] if denied else name + '-write'}.jsonl").read_text()
    if play is Play.LEAK:
        return text.replace("hello", SECRET)
    said = ANSWER.removeprefix("I wrote ") if name == "gemini" else ANSWER
    return text.replace(_SAID[name], said)


@contextmanager
def make(name: str, play: Play, place: Path, redactor: Redactor) -> Iterator[Agent]:
    program = place / PRESETS[name].program
    filled = _PROGRAM.format(
        python=sys.executable, imported=imported(), text=text_of(name, play), last=_LASTS[play]
    )
    program.write_text(filled)
    program.chmod(0o755)
    variables = {"PATH": f"{place}:/usr/bin:/bin"}
    yield PresetAgent(name, PRESETS[name], variables=variables, redactor=redactor)


# All are supervised by the same code, so one of them hangs for all.
_PLAYS = {"claude": frozenset(Play)}
_OTHERS = frozenset(Play) - {Play.HANG}
SUBJECTS = tuple(
    Subject(name, partial(make, name), plays=_PLAYS.get(name, _OTHERS), metered=name != "copilot")
    for name in PRESETS
)
