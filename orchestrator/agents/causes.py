"""Tells from an agent's words why its turn failed, where what follows differs."""

from __future__ import annotations

import re

from orchestrator.model.agent import Cause

# Source: errors of claude 2.1.197, codex 0.169.0, gemini 0.61.0, copilot 1.0.102, opencode 1.18.33, over ACP.
_SIGNS = (
    (
        Cause.QUOTA,
        r"\b429\b|rate.?limit|too many requests|quota|usage limit|resource.?exhausted"
        r"|insufficient.?(funds|credit)",
    ),
    (
        Cause.CREDENTIAL,
        r"\b401\b|unauthori[sz]ed|authenticat|auth.?required|not logged in|log ?in\b"
        r"|(invalid|incorrect|wrong).{0,10}api.?key"
        r"|api.?key.{0,20}(missing|required|invalid|not (set|found|valid))|credential",
    ),
    (
        Cause.NETWORK,
        r"econnrefused|econnreset|enotfound|etimedout|eai_again|connection (refused|reset|error|closed by)"
        r"|fetch failed|lookup address|network|unable to connect|can(?:no|')t connect|could not connect"
        r"|getaddrinfo|socket hang up",
    ),
)
_COMPILED = tuple((cause, re.compile(pattern, re.IGNORECASE)) for cause, pattern in _SIGNS)
_LOOKED_AT = 4000


def cause_of(words: str) -> Cause:
    """Returns the cause that an error message tells, `other` when it tells none."""
    start = words[:_LOOKED_AT]
    return next((cause for cause, sign in _COMPILED if sign.search(start)), Cause.OTHER)
