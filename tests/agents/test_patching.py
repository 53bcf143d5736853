from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.patching import DiffRefused, applied, patches_in

BEFORE = "one\ntwo\nthree\nfour\n"


def result(diff: str, before: str | None = BEFORE) -> str:
    (patch,) = patches_in(diff)
    return applied(patch, before)


def test_a_change_goes_where_its_lines_stand_whatever_numbers_it_names() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -99,7 +99,9 @@ somewhere\n two\n-three\n+THREE\n+3\n four\n"

    assert result(diff) == "one\ntwo\nTHREE\n3\nfour\n"


def test_a_new_file_is_made_and_one_without_an_end_of_line_stays_so() -> None:
    new = "--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    cut = (
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )

    assert result(new, None) == "a\nb\n"
    assert result(cut, "a") == "b"


def test_an_empty_line_without_its_blank_stays_a_line_of_the_file() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n"

    assert result(diff, "a\n\nb\n") == "a\n\nc\n"


def test_several_files_and_changes_are_told_apart() -> None:
    diff = (
        "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+ONE\n"
        "@@ -4 +4 @@\n-four\n+FOUR\ndiff --git a/y b/y\nnew file mode 100644\n--- /dev/null\n+++ b/y\n"
        "@@ -0,0 +1 @@\n+y\n"
    )

    first, second = patches_in(diff)

    assert applied(first, BEFORE) == "ONE\ntwo\nthree\nFOUR\n"
    assert (second.path, second.is_new, applied(second, None)) == ("y", True, "y\n")


@pytest.mark.parametrize(
    ("diff", "before", "words"),
    [
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-absent\n+b\n", BEFORE, "does not fit"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+b\n", None, "does not exist"),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", BEFORE, "exists already"),
        ("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", BEFORE, "removed"),
        ("--- a/x\n+++ b/y\n@@ -1 +1 @@\n-one\n+b\n", BEFORE, "renamed"),
        ("diff --git a/x b/y\nrename from x\nrename to y\n", BEFORE, "rename"),
        ("just talk", BEFORE, "no change"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(diff: str, before: str | None, words: str) -> None:
    with pytest.raises(DiffRefused, match=words):
        result(diff, before)


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "  x", "-y", "+z", "@@"]), max_size=12)


@given(LINES, LINES)
def test_a_diff_of_two_texts_makes_the_one_into_the_other(old: list[str], new: list[str]) -> None:
    before, after = "".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new)
    diff = "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/x", "b/x"))
    if not diff:
        return

    assert result(diff, before) == after
