"""What a secret may be called: like an environment variable, because that is how it reaches an agent."""

from __future__ import annotations

import re

from orchestrator.errors import Refused

PATTERN = r"^[A-Z][A-Z0-9_]{0,63}$"
SUFFIX = ".age"
"""What the name of every encrypted file ends with."""
_NAME = re.compile(PATTERN)
_OURS = "ORCHESTRATOR_"
TAKEN = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TZ", "SYSTEMROOT"})
"""Variables that every program has: no secret can be looked for under such a name."""


def checked_name(text: str) -> str:
    """Returns the name of a secret; it contains nothing that could lead out of a directory.

    Raises:
        Refused: `secret-name`, not 1-64 of A-Z, 0-9 and _ starting with a letter, or taken.
    """
    if not _NAME.fullmatch(text):
        raise Refused(
            f"{text[:80]!r} cannot be the name of a secret.",
            code="secret-name",
            hint="Use up to 64 of A-Z, 0-9 and _, starting with a letter, such as ANTHROPIC_API_KEY.",
        )
    if text in TAKEN or text.startswith(_OURS):
        raise Refused(
            f"The variable {text} has a meaning of its own, so no secret can have that name.",
            code="secret-name",
            hint="Choose another name, such as ANTHROPIC_API_KEY.",
        )
    return text
