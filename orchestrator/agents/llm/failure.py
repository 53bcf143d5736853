"""Words for what goes wrong between us and a provider; short, and without what was asked."""

from __future__ import annotations

import os

from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelTimeoutError,
)

_MAX_WORDS = 300


def told(error: AgentRunError, host: str) -> tuple[str, int | None]:
    """Returns the sentence for an error of a model, and the HTTP status that came with it."""
    match error:
        case ModelHTTPError():
            reason = _reason(error.body)
            words = f"{host} answered {error.status_code}"
            return (f"{words}: {reason}" if reason else words), error.status_code
        case ModelTimeoutError():
            return f"{host} did not answer in time (network)", None
        case ModelConnectionError():
            return f"cannot connect to {host}: {_root(error)}", None
        case ModelAPIError():
            return f"{host}: {error.message}"[:_MAX_WORDS], None
        case _:
            return str(error).splitlines()[0][:_MAX_WORDS], None


def _reason(body: object) -> str:
    """Returns what a provider says of its refusal: a text under `message` or `error`, however deep."""
    for _ in range(3):
        if isinstance(body, list) and body:
            body = body[0]
        if isinstance(body, dict):
            body = body.get("message") or body.get("error")
    return " ".join(body.split())[:_MAX_WORDS] if isinstance(body, str) else ""


def _root(error: BaseException) -> str:
    """Returns the first of the errors that led to this one, which is the system's where there is one."""
    found, seen = error, 0
    while (before := found.__cause__ or found.__context__) is not None and seen < 20:
        found, seen = before, seen + 1
    words = os.strerror(found.errno) if isinstance(found, OSError) and found.errno else str(found)
    return (words or type(found).__name__).splitlines()[0][:_MAX_WORDS]
