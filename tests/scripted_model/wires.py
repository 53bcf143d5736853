"""What a wire format is, and the means that several of them share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.scripted_model.steps import Failure, Json, Reply


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one answer costs; always the same, so that totals can be asserted."""

    asked: int = 120
    answered: int = 30


class Wire(Protocol):
    """Reads requests and writes answers of one API, streaming and not."""

    ending: str
    """A pattern that ends the path of a request in this format."""

    content_type: str
    """Of a streamed answer."""

    def tools(self, body: Json) -> Mapping[str, str]:
        """Returns the tools that a request declares, name to kind."""

    def results(self, body: Json) -> int:
        """Returns how many results of tools the conversation holds already."""

    def streams(self, body: Json, path: str) -> bool:
        """Tells whether the answer is wanted in pieces."""

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        """Returns the answer in one piece."""

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        """Yields the answer as it is streamed."""

    def refusal(self, failure: Failure) -> Json:
        """Returns the body of an HTTP error."""


def sse(event: Json, name: str = "") -> bytes:
    """Returns one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event)}\n\n".encode()


def new_id(prefix: str) -> str:
    """Returns an identifier that no other answer has."""
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


def openai_refusal(failure: Failure) -> Json:
    """Returns an error as OpenAI's APIs and those made after them write it."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(failure.status, "api_error")
    return {"error": {"message": failure.message, "type": kind, "code": str(failure.status)}}
