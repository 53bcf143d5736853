from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.agents.command import CommandAgent
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract.stage import Play, imported
from tests.agents.contract.subject import Subject

_SCRIPTS = {
    Play.WRITE: "stage.write(); print(stage.ANSWER)",
    Play.FAIL: "sys.exit(7)",
    Play.HANG: "stage.hang()",
    Play.LEAK: "print('the key is', stage.SECRET)",
}


@contextmanager
def make(play: Play, place: Path, redactor: Redactor) -> Iterator[Agent]:
    script = f"{imported()}; {_SCRIPTS[play]}"
    yield CommandAgent("command", (sys.executable, "-c", script), redactor=redactor)


SUBJECTS = (Subject("command", make, plays=frozenset(_SCRIPTS), metered=False, has_session=False),)
