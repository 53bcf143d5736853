from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.confined import ConfinedTree, PathRefused
from orchestrator.agents.llm.files import FileTools, shortened
from orchestrator.agents.llm.tool import Arguments, ToolProblem
from orchestrator.model.json import Json
from tests.agents.llm.conftest import Write


def use(tree: Path, tool: str, **given: Json) -> str:
    tools = {each.name: each for each in FileTools(ConfinedTree(tree)).tools()}
    return tools[tool].do(Arguments(given))


def test_a_file_is_read_with_numbers_in_parts(worktree: Path, put: Write) -> None:
    put("a.txt", "one\ntwo\nthree\n")

    assert use(worktree, "read", path="a.txt") == "1\tone\n2\ttwo\n3\tthree"
    assert use(worktree, "read", filePath="a.txt", offset=2, limit=1).startswith("2\ttwo\n(1 more lines")
    assert use(worktree, "read", path="a.txt", offset=99) == ""


def test_a_directory_is_listed_without_git(worktree: Path, put: Write) -> None:
    put("src/a.py", "")
    put(".git/config", "")

    assert use(worktree, "read", path=".") == "src/"


@pytest.mark.parametrize(("path", "data"), [("bin", b"\0\1"), ("big", b"x" * (5 << 20)), ("missing", None)])
def test_what_is_no_text_is_refused(path: str, data: bytes | None, worktree: Path) -> None:
    if data is not None:
        (worktree / path).write_bytes(data)

    with pytest.raises((ToolProblem, PathRefused)):
        use(worktree, "read", path=path)


def test_texts_and_patterns_are_found_with_their_places(worktree: Path, put: Write) -> None:
    put("src/a.py", "x = 1\ny = (x)\n")
    put("b.bin", "\0x = 1")
    put(".git/c", "x = 1")

    assert use(worktree, "search", pattern="(x)") == "src/a.py:2: y = (x)"
    assert use(worktree, "search", pattern=r"^\w = \d", regex=True) == "src/a.py:1: x = 1"
    assert use(worktree, "search", pattern="x = 1", path="src") == "src/a.py:1: x = 1"
    assert use(worktree, "search", pattern="nowhere") == "(nothing was found)"
    with pytest.raises(ToolProblem, match="invalid"):
        use(worktree, "search", pattern="(", regex=True)


def test_what_is_found_is_bounded(worktree: Path, put: Write) -> None:
    put("a.txt", "x\n" * 1000)

    assert use(worktree, "search", pattern="x").count("\n") == 200


def test_an_edit_needs_a_text_that_stands_once(worktree: Path, put: Write) -> None:
    place = put("a.py", "one\ntwo\ntwo\n")
    place.chmod(0o755)

    assert use(worktree, "edit_file", path="a.py", old_string="one", new_string="1") == "replaced"
    with pytest.raises(ToolProblem, match="2 times"):
        use(worktree, "edit_file", path="a.py", old="two", new="2")
    with pytest.raises(ToolProblem, match="not in the file"):
        use(worktree, "edit_file", path="a.py", old="three", new="3")
    with pytest.raises(ToolProblem, match="no such file"):
        use(worktree, "edit_file", path="b.py", old="a", new="b")
    use(worktree, "edit_file", path="a.py", old="two", new="2", all=True)

    assert place.read_text() == "1\n2\n2\n"
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_file_is_written_with_its_directories(worktree: Path) -> None:
    assert use(worktree, "write", path="a/b/c.txt", content="ü") == "wrote 2 bytes"
    assert (worktree / "a/b/c.txt").read_text() == "ü"
    assert (worktree / "a/b/c.txt").stat().st_mode & 0o777 == 0o644
    assert use(worktree, "write", path="empty", content="") == "wrote 0 bytes"


@pytest.mark.parametrize(
    ("tool", "given", "words"),
    [
        ("read", {}, "`path` is missing"),
        ("read", {"path": 3}, "`path` must be text"),
        ("read", {"path": ""}, "`path` is empty"),
        ("read", {"path": ".", "limit": "x"}, "ok"),
        ("write", {"path": "a"}, "`content` is missing"),
        ("search", {"pattern": ""}, "`pattern` is empty"),
    ],
)
def test_wrong_arguments_are_told_by_name(
    tool: str, given: dict[str, Json], words: str, worktree: Path
) -> None:
    if words == "ok":  # of a directory no limit is asked for
        assert use(worktree, tool, **given) == "(empty)"
        return
    with pytest.raises(ToolProblem, match=words):
        use(worktree, tool, **given)


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    short = shortened("a" * 100 + "b" * 100, 20)

    assert short == "a" * 10 + "\n… (180 characters are left out) …\n" + "b" * 10
