"""Names the keys in which two texts of a git configuration differ; runs nothing, follows no include."""

from __future__ import annotations

import configparser
import io

MAX_BYTES = 1 << 20


def changed_keys(before: bytes, after: bytes) -> tuple[str, ...]:
    """Returns the keys (`remote.origin.url`) that were added, removed or given other values, sorted.

    Empty when either text cannot be parsed: then only that something changed is known.
    """
    try:
        old, new = _items(before), _items(after)
    except (configparser.Error, ValueError):
        return ()
    return tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))


class _ConfigText(io.BytesIO):
    name = "config"  # GitPython 3.2 asks every file object for one


def _items(text: bytes) -> dict[str, list[str]]:
    from git.config import GitConfigParser  # costs 70 ms and is needed only after a change

    parser = GitConfigParser(_ConfigText(text), read_only=True, merge_includes=False)
    return {
        f"{_dotted(section)}.{key}": [str(value) for value in values]
        for section in parser.sections()
        for key, values in parser.items_all(section)
    }


def _dotted(section: str) -> str:
    """Returns `remote.origin` for `remote "origin"`."""
    name, _, rest = section.partition(" ")
    return f"{name}.{rest.strip()[1:-1]}" if rest else name
