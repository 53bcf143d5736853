"""Writes `help_pages.py`: run `python -m orchestrator.cli.help_source` after changing a command's options."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.grammar import help_pages

TARGET = Path(__file__).with_name("help_pages.py")
_HEAD = (
    '"""The help of every command, so that it costs no import. Made by `help_source`; a test compares."""\n\n'
)


def source() -> str:
    """Returns the module's text, the same for the same commands."""
    pages = (f"    {path!r}: r'''{text}''',\n" for path, text in help_pages().items())
    return f"{_HEAD}# fmt: off\nPAGES = {{\n{''.join(pages)}}}\n"


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
