"""Holds `required-version` against the running version, before anything else of a file is looked at."""

from __future__ import annotations

import re
import shlex
import sys

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from orchestrator import __version__
from orchestrator.config import document
from orchestrator.config.document import Leaf, Node, Table
from orchestrator.config.origin import Origin, Problem, printable
from orchestrator.errors import Refused

KEY = "required-version"
_LINE = re.compile(rb"^required-version[ \t]*:[^\r\n]*", re.MULTILINE)


def check(root: Node | None, data: bytes, origin: Origin) -> Problem | None:
    """Returns a problem if the pin itself cannot be read.

    A file that is no YAML to this version may have been written for another one, so its pin is
    looked for in the bytes.

    Raises:
        Refused: `required-version`: this version does not fit; the hint installs one that does.
    """
    pin = _pin(root) or _pin_in_bytes(data, origin)
    if pin is None or not isinstance(pin.value, str) or not pin.value.strip():
        return None
    try:
        fitting = SpecifierSet(pin.value)
    except InvalidSpecifier:
        sentence = f'`{KEY}` is no version range: {printable(pin.value)}; write one as in ">=0.1,<1"'
        return Problem(pin.origin, sentence)
    if not fitting.contains(__version__, prereleases=True):
        raise Refused(
            f"{pin.origin.place} requires orchestrator {printable(str(fitting))}; this is {__version__}.",
            code=KEY,
            hint=f"Install a fitting version: {install_command(str(fitting), sys.prefix, sys.executable)}",
        )
    return None


def install_command(fitting: str, prefix: str, executable: str) -> str:
    """Returns the command that replaces this installation, by the tool that made it."""
    wanted = shlex.quote(printable(f"orchestrator{fitting}"))
    parts = prefix.replace("\\", "/").split("/")
    if "uv" in parts and "tools" in parts:
        return f"uv tool install {wanted}"
    if "pipx" in parts:
        return f"pipx install --force {wanted}"
    return f"{shlex.quote(executable or 'python3')} -m pip install {wanted}"


def _pin(root: Node | None) -> Leaf | None:
    if not isinstance(root, Table) or KEY not in root.entries:
        return None
    node = root.entries[KEY].node
    return node if isinstance(node, Leaf) else None


def _pin_in_bytes(data: bytes, origin: Origin) -> Leaf | None:
    found = _LINE.search(data)
    if found is None:
        return None
    line = data.count(b"\n", 0, found.start()) + 1
    root, _ = document.parse(found.group(), layer=origin.layer, file=origin.file)
    pin = _pin(root)
    return Leaf(pin.value, Origin(origin.layer, origin.file, line, pin.origin.column)) if pin else None
