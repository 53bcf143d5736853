from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.agents.llm.agent import LlmAgent, Setting
from orchestrator.agents.llm.order import ModelSpec, ToolSpec
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract.stage import ANSWER, FORBIDDEN, SECRET, WRITTEN, Play, imported
from tests.agents.contract.subject import Subject
from tests.scripted_model.server import ScriptedModel
from tests.scripted_model.steps import Answer, Call, Failure, Script

_FORBIDDEN = Call("forbidden")
_SCRIPTS: dict[Play, Script] = {
    Play.WRITE: (Call("write", {"path": WRITTEN, "content": "by the agent\n"}), Answer(ANSWER)),
    Play.FAIL: (Failure(500, "it did not work"),),
    Play.DENIED: (_FORBIDDEN, Answer("All done.")),
    Play.DENIED_FAIL: (_FORBIDDEN, Failure(500, "it did not work")),
    Play.HANG: (Call("hang"), Answer("never said")),
    Play.LEAK: (Answer(f"the key is {SECRET}"),),
}
_HANG = (sys.executable, "-I", "-S", "-c", f"{imported()}; stage.hang()")
_TOOLS = (
    ToolSpec("forbidden", "is not allowed", {}, ("touch", FORBIDDEN), "ask"),
    ToolSpec("hang", "hangs", {}, _HANG, "allow"),
)


@contextmanager
def make(play: Play, place: Path, redactor: Redactor) -> Iterator[Agent]:
    with ScriptedModel() as server:
        server.add("contract", _SCRIPTS[play])
        spec = ModelSpec("openai", "gpt-4o", base_url=server.url("contract") + "/v1")
        setting = Setting(spec, tools=_TOOLS, variables={"OPENAI_API_KEY": "sk-of-the-contract"})
        yield LlmAgent("llm", setting, redactor=redactor)


SUBJECTS = (Subject("llm", make),)
