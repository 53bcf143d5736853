"""Carries over from the user's repository what decides how bytes become files: our trees equal theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.repo.git import Git, split

Pairs = Sequence[tuple[str, str]]

_CONTENT = re.compile(
    r"core\.(?:autocrlf|eol|safecrlf|filemode|symlinks|ignorecase|precomposeunicode|longpaths"
    r"|bigfilethreshold|excludesfile|attributesfile|sparsecheckout|sparsecheckoutcone)"
    r"|extensions\.partialclone|remote\..+\.(?:promisor|partialclonefilter|url|fetch)|user\.(?:name|email)"
    r"|lfs\..+",
    re.DOTALL,
)
_TRUSTED_ONLY = re.compile(r"filter\..+|merge\..+|diff\..+", re.DOTALL)


def local_settings(git: Git, *, trusted: bool) -> tuple[tuple[str, str], ...]:
    """Returns the settings of the repository's own configuration that our trees must share; runs nothing.

    Filters, merge drivers and diff drivers come along only when `trusted`.
    """
    found = []
    items = split(git.local_list())
    for scope, entry in zip(items[::2], items[1::2], strict=False):
        key, _, value = entry.decode("utf-8", "surrogateescape").partition("\n")
        if scope not in (b"local", b"worktree"):
            continue
        if _CONTENT.fullmatch(key) or (trusted and _TRUSTED_ONLY.fullmatch(key)):
            found.append((key, value))
    return tuple(found)


def as_config(pairs: Pairs) -> bytes:
    """Returns the text of a git configuration file with these settings, in this order."""
    lines = []
    for key, value in pairs:
        section, _, rest = key.partition(".")
        subsection, _, name = rest.rpartition(".")
        header = f'[{section} "{_escaped(subsection)}"]' if subsection else f"[{section}]"
        lines.append(f'{header}\n\t{name} = "{_escaped(value)}"\n')
    return "".join(lines).encode("utf-8", "surrogateescape")


def _escaped(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return quoted.replace("\n", "\\n").replace("\t", "\\t").replace("\b", "\\b")
