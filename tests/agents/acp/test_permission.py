from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.acp.narrator import Narrator, TurnLimits
from orchestrator.agents.acp.permission import choose, inside

OPTIONS = [
    ("always", "allow_always"),
    ("once", "allow_once"),
    ("never", "reject_always"),
    ("no", "reject_once"),
]


def call(kind: str | None, *paths: str) -> dict[str, Any]:
    return {"toolCallId": "c", "kind": kind, "locations": [{"path": path} for path in paths]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a tree with a link that leads out of it."""
    place = tmp_path / "tree"
    place.mkdir()
    (place / "out").symlink_to("/etc")
    return place


@pytest.mark.parametrize(
    ("kind", "path", "allowed"),
    [
        ("edit", "a.py", True),
        ("edit", "{tree}/deep/a.py", True),
        ("edit", "/tmp/scratch.txt", True),
        ("edit", "/etc/hosts", False),
        ("edit", "../beside.txt", False),
        ("edit", "{tree}-beside/a.py", False),
        ("edit", "out/hosts", False),
        ("delete", "/etc/hosts", False),
        ("move", "/etc/hosts", False),
        ("other", "/etc/hosts", False),
        (None, "/etc/hosts", False),
        ("read", "/etc/hosts", True),
        ("search", "/etc", True),
        ("execute", "/etc", True),
        ("fetch", "/etc", True),
    ],
)
def test_changes_are_allowed_inside_of_the_tree_and_all_else_everywhere(
    kind: str | None, path: str, allowed: bool, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp/scratch.txt")  # the tree of this test is below /tmp itself

    assert inside(tree)(call(kind, path.format(tree=tree))) is allowed


def test_one_file_outside_is_enough_and_no_file_is_none(tree: Path, tmp_path: Path) -> None:
    decide = inside(tree, str(tmp_path / "home"))

    assert not decide(call("edit", "a.py", "/etc/hosts"))
    assert decide(call("edit"))
    assert decide(call("edit", str(tmp_path / "home" / "notes.md")))


def test_an_option_is_chosen_by_its_kind_and_never_one_for_always() -> None:
    assert choose(OPTIONS, allow=True) == "once"
    assert choose(OPTIONS, allow=False) == "no"
    assert choose(OPTIONS[:1], allow=True) is None
    assert choose(OPTIONS[2:3], allow=False) is None
    assert choose([], allow=True) is None


@pytest.mark.parametrize(("announced", "kind"), [("edit", "edit"), ("read", "read"), (None, "other")])
def test_a_call_keeps_the_kind_that_it_was_announced_with(announced: str | None, kind: str) -> None:
    narrator = Narrator(
        lambda event: None, limits=TurnLimits(), soon=lambda call: None, on_limit=lambda: None
    )
    narrator.live = True
    narrator.update({"sessionUpdate": "tool_call", **call(announced, "/a"), "status": "pending"})

    assert narrator.merged(call("other", "/a"))["kind"] == kind
