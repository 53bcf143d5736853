"""Takes files out of an answer: code blocks that are named, and unified diffs. Pure: touches no file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)$")
_HEADING = re.compile(
    r"^(?:#{1,6}\s+|[-*]\s+)?(?:\*\*|__)?(?:(?:file(?:name)?|path|datei)\s*:\s*)"
    r"(?:\*\*|__)?\s*(?P<path>`[^`]+`|[^\s*`]+)\s*(?:\*\*|__)?\s*:?\s*$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"^(?:#{1,6}\s+|[-*]\s+|\d+\.\s+)?(?:\*\*|__)?`(?P<path>[^`\s]+)`(?:\*\*|__)?\s*:?\s*$")
_ATTRIBUTE = re.compile(r"(?:^|[\s{])(?:file(?:name)?|path|title)\s*[=:]\s*[\"']?(?P<path>[^\"'\s}]+)")
_WORD = re.compile(r"[A-Za-z0-9_+#.-]*")
_DIFF = "diff --git "
MAX_FILES = 200


@dataclass(frozen=True, slots=True)
class AnsweredFile:
    """A whole file in an answer."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class AnsweredDiff:
    """A unified diff in an answer, of one or more files."""

    text: str


Answered = AnsweredFile | AnsweredDiff


def files_in(answer: str) -> tuple[Answered, ...]:
    """Returns the files and diffs of an answer in their order; of a file named twice the last text counts.

    A block belongs to a file when its first line names it (```python src/app.py, ```src/app.py,
    ```js title="a.js") or the line above does (`File: src/app.py`, **`src/app.py`**). Anything else is talk.
    A block that was never closed belongs to nobody: the answer was cut off in it. Paths are as they were
    written; whoever uses them decides whether they may be.
    """
    found: dict[str, Answered] = {}
    for number, (block, above) in enumerate(_blocks(answer.replace("\r\n", "\n"))):
        if len(found) >= MAX_FILES:
            break
        if _is_diff(block):
            found[f"\0{number}"] = AnsweredDiff(block.text)
            continue
        path = _named(block) or _named_above(above)
        if path:
            found.pop(path, None)
            found[path] = AnsweredFile(path, block.text)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Block:
    info: str
    text: str


def _blocks(answer: str) -> Iterator[tuple[_Block, str]]:
    """Yields each closed code block with the last line above it that is not blank; bare diffs too."""
    lines = answer.split("\n")
    at, above = 0, ""
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if opened is not None and not ("`" in opened["info"] and opened["fence"][0] == "`"):
            end = _closing(lines, at + 1, opened["fence"])
            if end is None:
                return
            yield _Block(opened["info"].strip(), _dedented(lines[at + 1 : end], opened["indent"])), above
            at, above = end + 1, ""
        elif lines[at].startswith(_DIFF):
            end = _end_of_diff(lines, at)
            yield _Block("diff", "\n".join(lines[at:end]) + "\n"), above
            at, above = end, ""
        else:
            above = lines[at] if lines[at].strip() else above
            at += 1


def _closing(lines: list[str], start: int, fence: str) -> int | None:
    closing = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}\s*$")
    return next((at for at in range(start, len(lines)) if closing.match(lines[at])), None)


def _dedented(lines: list[str], indent: str) -> str:
    inner = [line.removeprefix(indent) for line in lines] if indent else lines
    return "\n".join(inner) + "\n" if inner else ""


def _end_of_diff(lines: list[str], start: int) -> int:
    """Returns where a diff that stands in no block ends: at a line that belongs to no diff."""
    within = (
        " ",
        "+",
        "-",
        "@@",
        "\\",
        "diff ",
        "index ",
        "new ",
        "deleted ",
        "old ",
        "similarity ",
        "rename ",
    )
    at = start
    while at < len(lines) and lines[at].startswith(within):
        at += 1
    return at


def _is_diff(block: _Block) -> bool:
    kind = block.info.split(maxsplit=1)[0].lower() if block.info else ""
    starts = block.text.startswith((_DIFF, "--- "))
    return (kind in ("diff", "patch", "") and starts) or block.text.startswith(_DIFF)


def _named(block: _Block) -> str:
    attribute = _ATTRIBUTE.search(block.info)
    if attribute is not None:
        return attribute["path"]
    words = block.info.split()
    if not words:
        return ""
    language, _, rest = words[0].partition(":")
    if rest and _is_path(rest):
        return rest
    if len(words) == 1:
        is_path = ("/" in words[0] or "." in words[0]) and _is_path(words[0])
        return words[0] if is_path else ""
    named = words[1].strip("`\"'()")
    return named if _WORD.fullmatch(language) and _is_path(named) else ""


def _named_above(above: str) -> str:
    line = above.strip()
    found = _HEADING.match(line) or _TITLE.match(line)
    path = found["path"].strip("`") if found is not None else ""
    return path if _is_path(path) else ""


def _is_path(text: str) -> bool:
    """Returns whether a text can name a file: with a suffix, a directory, or a well-known bare name."""
    if text in ("Makefile", "Dockerfile", "LICENSE", "README", "Procfile", "Justfile", "Gemfile"):
        return True
    return ("/" in text or "." in text.rstrip(".")) and not text.endswith(("/", "."))
