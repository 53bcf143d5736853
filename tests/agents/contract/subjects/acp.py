from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.agents.acp.agent import AcpAgent
from orchestrator.agents.acp.speaker import Speaker
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from tests.agents.acp import fake_agent
from tests.agents.contract.stage import ANSWER, FORBIDDEN, SECRET, WRITTEN, Play
from tests.agents.contract.subject import Subject

_USAGE = {"inputTokens": 240, "outputTokens": 60, "totalTokens": 300}
_END = {"end": "end_turn", "usage": _USAGE}
_REFUSED = {"tool": {"write": FORBIDDEN, "ask": ["allow_always", "reject_once"]}}
_TURNS: dict[Play, list[dict[str, Any]]] = {
    Play.WRITE: [
        {"say": "I begin."},
        {"tool": {"write": WRITTEN, "ask": ["allow_always", "allow_once", "reject_once"]}},
        {"say": ANSWER[:7]},
        {"say": ANSWER[7:]},
        _END,
    ],
    Play.FAIL: [{"error": {"code": -32603, "message": "Internal error"}}],
    Play.DENIED: [_REFUSED, {"say": "All done."}, _END],
    Play.DENIED_FAIL: [_REFUSED, {"die": 3}],
    Play.HANG: [{"hang": True}],
    Play.LEAK: [{"say": f"the key is {SECRET}"}, _END],
}


@contextmanager
def make(play: Play, place: Path, redactor: Redactor) -> Iterator[Agent]:
    script = place / "script.json"
    script.write_text(json.dumps({"turn": _TURNS[play]}))
    speaker = Speaker(sys.executable, (fake_agent.__file__, str(script)))
    yield AcpAgent("acp", speaker, redactor=redactor)


SUBJECTS = (Subject("acp", make),)
