"""Answers that were given before to exactly the same question: derived, and deletable at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator.agents.llm.order import ModelSpec
from orchestrator.fs.disk import Disk
from orchestrator.model.chat import Completion, Message
from orchestrator.model.run import Usage
from orchestrator.ports import LLMClient
from orchestrator.redaction.redactor import Redactor

_SCHEMA_VERSION = 1


class KnowingClient:
    """Asks another client only what was not asked before; implements `ports.LLMClient`.

    Whole answers alone are kept, without secrets; one that holds a secret is not kept at all, because it
    would not be the same. What cannot be read, or written, is asked again.
    """

    def __init__(self, client: LLMClient, spec: ModelSpec, directory: Path, redactor: Redactor) -> None:
        self.model = client.model
        self._client = client
        self._about = {name: value for name, value in asdict(spec).items() if "usd" not in name}
        self._directory = directory
        self._redactor = redactor

    def chat(self, messages: Sequence[Message]) -> Completion:
        """Returns the answer to a conversation; raises what the other client raises."""
        asked = [[message.role, message.text] for message in messages]
        return self._known(["chat", asked], lambda: self._client.chat(messages))

    def generate(self, prompt: str) -> Completion:
        """Returns the answer to one prompt; raises what the other client raises."""
        return self._known(["generate", prompt], lambda: self._client.generate(prompt))

    def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Returns a vector for each text, always asked for: who keeps vectors has a store for them."""
        return self._client.embed(texts)

    def _known(self, question: list[object], ask: Callable[[], Completion]) -> Completion:
        place = self._place(question)
        text = _read(place)
        if text is not None:
            return Completion(text, Usage(), self.model, is_known=True)
        answer = ask()
        if answer.is_whole and self._redactor.text(answer.text) == answer.text:
            disk = Disk()
            disk.make_dir(place.parent)
            disk.write(place, json.dumps({"schema_version": _SCHEMA_VERSION, "text": answer.text}).encode())
        return answer

    def _place(self, question: list[object]) -> Path:
        asked = json.dumps([_SCHEMA_VERSION, self._about, question], sort_keys=True)
        digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
        return self._directory / digest[:2] / f"{digest}.json"


def _read(place: Path) -> str | None:
    try:
        kept = json.loads(place.read_bytes())
        text = kept["text"] if kept["schema_version"] == _SCHEMA_VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None
