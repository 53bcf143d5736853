"""Takes fields out of JSON that anybody may have written: the value or nothing; never raises."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from orchestrator.model.json import Json, JsonObject

LINE_CHARACTERS = 200
TEXT_CHARACTERS = 4_000
TASK_CHARACTERS = 100_000
MAX_COUNT = 1_000

_NOTHING: JsonObject = {}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def text(value: Json, limit: int = TEXT_CHARACTERS) -> str:
    """Returns text of at most `limit` characters, without what steers a terminal or cannot be stored."""
    if not isinstance(value, str):
        return ""
    kept = value[: limit + 1].replace("\r\n", "\n")
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", kept).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def line(value: Json, limit: int = LINE_CHARACTERS) -> str:
    """Returns text on one line."""
    return text(" ".join(value[: 4 * limit].split()), limit) if isinstance(value, str) else ""


def word(value: Json) -> str:
    """Returns a word of a fixed vocabulary in lower case."""
    return line(value, 64).lower()


def moment(value: Json) -> datetime | None:
    """Returns a time; one without a zone counts as UTC, one outside of 1990 to 2100 as none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _EARLIEST <= at < _LATEST else None


def count(value: Json) -> int:
    """Returns a number between 0 and 1,000."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(min(max(value, 0), MAX_COUNT))


def mapping(value: Json) -> JsonObject:
    """Returns an object, an empty one where there is none."""
    return value if isinstance(value, Mapping) else _NOTHING


def sequence(value: Json) -> Sequence[Json]:
    """Returns a list, an empty one where there is none."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
