"""Words for times, durations, sizes; standard library only, for the front door."""

from __future__ import annotations

import time

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Returns a duration in its largest unit: `45 s`, `3 min`, `2 h`, `5 d`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def age(timestamp: str, now: float | None = None) -> str:
    """Returns how long ago an ISO 8601 UTC time of ours was, empty when it is none."""
    then = epoch(timestamp)
    if then is None:
        return ""
    return duration(max(0.0, (time.time() if now is None else now) - then))


def epoch(timestamp: str) -> float | None:
    """Returns the seconds since 1970 of an ISO 8601 UTC time of ours (`2026-11-20T11:07:52.123456Z`)."""
    digits = timestamp[:19]
    parts = digits.replace("T", "-").replace(":", "-").split("-")
    if len(parts) != 6 or not all(part.isdigit() for part in parts):
        return None
    year, month, day, hour, minute, second = (int(part) for part in parts)
    return float(_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)


def _days(year: int, month: int, day: int) -> int:
    """Returns days since 1970-01-01. Source: civil-from-days algorithm, proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def size(count: int) -> str:
    """Returns a number of bytes in words: `812 B`, `4.1 KiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{count} B"


def counted(number: int, noun: str) -> str:
    """Returns `1 finding`, `3 findings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
