from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.answer import AnsweredDiff, AnsweredFile, files_in

FENCE = "```"


def named(answer: str) -> dict[str, str]:
    return {each.path: each.text for each in files_in(answer) if isinstance(each, AnsweredFile)}


@pytest.mark.parametrize(
    "head",
    [
        "```python src/app.py",
        "```python:src/app.py",
        "```src/app.py",
        '```python title="src/app.py"',
        "```py {filename=src/app.py}",
        "File: src/app.py\n```python",
        "**File:** `src/app.py`\n\n```python",
        "### `src/app.py`\n```python",
        "**`src/app.py`**:\n```python",
        "1. `src/app.py`\n```python",
        "Filename: `src/app.py`\n\n```",
    ],
)
def test_a_block_belongs_to_the_file_that_is_named_with_it(head: str) -> None:
    answer = f"I changed it.\n\n{head}\nprint(1)\n{FENCE}\nThat is all."

    assert named(answer) == {"src/app.py": "print(1)\n"}


@pytest.mark.parametrize(
    "answer",
    [
        "Run it:\n```sh\npython app.py\n```",
        "```\nsome output\n```",
        "See `src/app.py` for more, it has\n```python\nprint(1)\n```",
        "```python src/app.py\nprint(1)\n",  # cut off
        "```python an example\nprint(1)\n```",
        "no block at all: src/app.py",
        "",
    ],
)
def test_what_names_no_file_is_talk(answer: str) -> None:
    assert files_in(answer) == ()


def test_fences_within_longer_fences_are_text() -> None:
    answer = "````markdown README.md\n# Use\n```sh\nmake\n```\n````\n~~~js a.js\nlet a = `x`\n~~~\n"

    assert named(answer) == {"README.md": "# Use\n```sh\nmake\n```\n", "a.js": "let a = `x`\n"}


def test_a_file_named_twice_has_its_last_text() -> None:
    answer = "```py a.py\n1\n```\nBetter:\n```py a.py\n2\n```\n"

    assert named(answer) == {"a.py": "2\n"}


def test_an_indented_block_loses_its_indentation_and_an_empty_one_is_an_empty_file() -> None:
    answer = "- item\n\n  ```py a.py\n  if x:\n      y\n  ```\n\n```py pkg/__init__.py\n```\n"

    assert named(answer) == {"a.py": "if x:\n    y\n", "pkg/__init__.py": ""}


def test_diffs_are_taken_in_a_block_or_bare() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    bare = f"diff --git a/x b/x\n{diff}"

    assert files_in(f"{FENCE}diff\n{diff}{FENCE}\n") == (AnsweredDiff(diff),)
    assert files_in(f"So:\n{bare}\nDone.") == (AnsweredDiff(bare),)


@given(st.text(alphabet="`~ab/.\n -+@#:*dif\t", max_size=300))
def test_any_text_can_be_read(answer: str) -> None:
    for each in files_in(answer):
        if isinstance(each, AnsweredFile):
            assert each.path
            assert each.text == "" or each.text.endswith("\n")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}/[a-z]{1,8}\.py", fullmatch=True),
        st.lists(st.text(alphabet="abc =()\"'#", max_size=20), min_size=1, max_size=8),
        max_size=4,
    )
)
def test_whatever_files_are_given_come_out_as_they_went_in(files: dict[str, list[str]]) -> None:
    texts = {path: "\n".join(lines) + "\n" for path, lines in files.items()}
    answer = "\n".join(f"Now {path}.\n```python {path}\n{text}```\n" for path, text in texts.items())

    assert named(answer) == texts
