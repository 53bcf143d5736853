from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.confined import ConfinedTree, PathRefused


@pytest.fixture
def tree(tmp_path: Path) -> ConfinedTree:
    root = tmp_path / ".orchestrator" / "worktrees" / "main"
    (root / "src").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "src" / "app.py").write_text("app")
    (tmp_path / "outside").mkdir()
    return ConfinedTree(root)


@pytest.mark.parametrize("name", ["src/app.py", "./src/../src/app.py", "new/deep/file.txt", ".github/x.yml"])
def test_files_of_the_tree_may_be_written(name: str, tree: ConfinedTree) -> None:
    assert tree.to_write(name).is_relative_to(tree.root)
    assert tree.to_write(str(tree.root / name)) == tree.to_write(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../other/x",
        "/etc/passwd",
        "src/../../x",
        "a\0b",
        "a\nb",
        "x" * 2000,
        ".git/config",
        ".GIT/config",
        ".git",
        "sub/.git/hooks/pre-commit",
        "src/../.git/config",
        ".g\u200dit/config",
        ".git./config",
        ".git /config",
        ".orchestrator/workflow.yaml",
        "src",
        ".",
    ],
)
def test_what_is_not_work_cannot_be_written(name: str, tree: ConfinedTree) -> None:
    with pytest.raises(PathRefused):
        tree.to_write(name)


def test_links_lead_only_inside(tree: ConfinedTree, tmp_path: Path) -> None:
    os.symlink(tmp_path / "outside", tree.root / "out")
    os.symlink("src", tree.root / "in")
    os.symlink(".git", tree.root / "meta")
    os.symlink("nowhere/../../../..", tree.root / "loop")

    assert tree.to_write("in/app.py") == tree.root / "src" / "app.py"
    for name in ("out/x", "meta/config", "loop/x"):
        with pytest.raises(PathRefused):
            tree.to_write(name)


@given(st.lists(st.sampled_from(["..", ".", "src", ".git", "a", "", "/", "..."]), max_size=6))
def test_no_combination_of_parts_leads_out(parts: list[str]) -> None:
    tree = ConfinedTree(Path("/nowhere/at/all"))

    try:
        place = tree.to_write("/".join(parts))
    except PathRefused:
        return

    assert place.is_relative_to(tree.root)
    assert ".git" not in place.relative_to(tree.root).parts
