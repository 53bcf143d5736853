"""Finds names that Windows, or a file system that folds case, cannot hold.

Source: learn.microsoft.com, "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{kind}{digit}" for kind in ("com", "lpt") for digit in "123456789¹²³"}
)
_FORBIDDEN = frozenset('<>:"|?*\\')


def troubles(paths: Iterable[str]) -> Iterator[str]:
    """Yields a line for each path (parts joined by `/`) that cannot stand there, or beside an earlier one."""
    seen: dict[str, str] = {}
    for path in paths:
        prefix = ""
        for part in path.split("/"):
            prefix = f"{prefix}/{part}" if prefix else part
            folded = prefix.casefold()
            if folded not in seen:
                seen[folded] = prefix
                reason = reason_against(part)
                if reason:
                    yield f"{prefix}: {reason}"
            elif seen[folded] != prefix:
                yield f"{prefix}: differs from {seen[folded]} in case alone"
                break


def reason_against(name: str) -> str:
    """Returns why Windows cannot hold a file of this name; empty where it can."""
    if name.split(".")[0].rstrip(" ").lower() in _RESERVED:
        return "is the name of a device"
    if name.endswith((".", " ")):
        return "ends in a dot or a blank"
    wrong = sorted({letter for letter in name if letter in _FORBIDDEN or ord(letter) < 32})
    return f"holds {' '.join(map(repr, wrong))}" if wrong else ""
