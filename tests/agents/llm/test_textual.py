from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.llm.telling import Teller
from tests.agents.llm.conftest import KEY, Bench, Write
from tests.scripted_model.steps import Answer, Failure

ANSWER = "Here it is:\n\n```python src/app.py\nprint(2)\n```\n"


def take(bench: Bench, **changes: Any) -> list[dict[str, Any]]:
    model = bench.spec("ollama", capabilities=("chat",))
    return bench.take(**{"mode": "text", "model": model, **changes})


def test_files_are_taken_from_the_answer_and_told_with_their_hash(bench: Bench, put: Write) -> None:
    put("src/app.py", "print(1)\n").chmod(0o755)
    bench.script(Answer(ANSWER), plain=True)

    told = take(bench)

    written = bench.tree / "src" / "app.py"
    assert written.read_text() == "print(2)\n"
    assert written.stat().st_mode & 0o777 == 0o755
    digest = hashlib.sha256(b"print(2)\n").hexdigest()
    assert bench.kinds("wrote") == [
        {"type": "wrote", "path": "src/app.py", "sha256": digest, "size_bytes": 9}
    ]
    assert told[-1] == {"type": "done", "cached": False}
    assert bench.kinds("said")[0]["text"] == ANSWER


def test_a_model_of_the_cloud_answers_with_files_too(bench: Bench) -> None:
    bench.script(Answer(ANSWER), plain=True)

    take(bench, model=bench.spec("openai", capabilities=("chat",)))

    assert (bench.tree / "src" / "app.py").read_text() == "print(2)\n"
    assert bench.kinds("spent")[0]["cost_usd"] == pytest.approx(0.0006)


def test_a_diff_changes_what_is_there(bench: Bench, put: Write) -> None:
    put("a.txt", "one\ntwo\n")
    bench.script(Answer("```diff\n--- a/a.txt\n+++ b/a.txt\n@@ -2 +2 @@\n-two\n+2\n```\n"), plain=True)

    take(bench)

    assert (bench.tree / "a.txt").read_text() == "one\n2\n"


@pytest.mark.parametrize(
    "block",
    [
        "```py ../out.py\nx\n```\n",
        "```py /tmp/out.py\nx\n```\n",
        "```sh .git/hooks/pre-commit.sh\nx\n```\n",
        "```yaml .orchestrator/workflow.yaml\nx\n```\n",
        "```py link/out.py\nx\n```\n",
        "```diff\n--- a/x\n+++ b/../../x\n@@ -0,0 +1 @@\n+x\n```\n",
        "```diff\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-absent\n+x\n```\n",
        "```py a\n/b.py\n```\n```py a.txt/b.py\nx\n```\n",
    ],
)
def test_one_bad_path_or_change_and_nothing_is_written(block: str, bench: Bench, put: Write) -> None:
    put("a.txt", "one\n")
    (bench.tree / "link").symlink_to(bench.place)
    bench.script(Answer(f"```py good.py\nx\n```\n{block}"), plain=True)

    told = take(bench)

    assert told[-1]["type"] == "error"
    assert told[-1]["message"].startswith("nothing was written: ")
    assert sorted(path.name for path in bench.tree.iterdir()) == ["a.txt", "link"]
    assert not (bench.place / "out.py").exists()


def test_an_answer_without_files_is_only_said(bench: Bench) -> None:
    bench.script(Answer("It looks good."), plain=True)

    assert take(bench)[-1]["type"] == "done"
    assert list(bench.tree.iterdir()) == []


def test_a_refusal_is_told_with_its_status(bench: Bench) -> None:
    bench.script(Failure(429, "slow down"), plain=True)

    told = take(bench)

    assert (told[-1]["status"], told[-1]["message"]) == (429, "127.0.0.1 answered 429: slow down")
    assert bench.kinds("request")[0]["status"] == 429


def test_the_same_question_is_asked_once_where_answers_are_kept(bench: Bench) -> None:
    cache = str(bench.place / "answers")
    talk = bench.script(Answer("fine"), plain=True)

    take(bench, cache_dir=cache)
    told = take(bench, cache_dir=cache)
    changed = take(bench, cache_dir=cache, prompt="do another thing")

    assert len(talk.asked) == 2
    assert told[-1] == {"type": "done", "cached": True}
    assert [line for line in told if line["type"] == "spent"] == []
    assert changed[-1] == {"type": "done", "cached": False}


def test_an_answer_that_is_damaged_is_asked_for_again(bench: Bench) -> None:
    cache = bench.place / "answers"
    talk = bench.script(Answer("fine"), plain=True)
    take(bench, cache_dir=str(cache))
    for kept in cache.rglob("*.json"):
        kept.write_text("{")

    take(bench, cache_dir=str(cache))

    assert len(talk.asked) == 2


def test_a_secret_is_neither_asked_with_nor_kept(bench: Bench, put: Write) -> None:
    put("notes.txt", f"the key is {KEY}")
    talk = bench.script(Answer(f"the key is {KEY}"), plain=True)
    cache = bench.place / "answers"

    take(bench, cache_dir=str(cache), prompt="read notes.txt")

    assert "<file path='notes.txt'>" in str(talk.asked[0].body)
    assert KEY not in str(talk.asked[0].body)
    assert list(cache.rglob("*.json")) == []


def test_the_model_is_told_the_files_and_what_is_in_those_that_the_task_names(
    bench: Bench, put: Write
) -> None:
    put("src/app.py", "print('the app')\n")
    put("src/other.py", "print('the other')\n")
    talk = bench.script(Answer("fine"), plain=True)

    take(bench, prompt="repair app.py")

    asked = talk.asked[0].body["messages"][-1]["content"]
    assert "src/other.py" in asked
    assert "the app" in asked
    assert "the other" not in asked


def test_lines_of_the_worker_are_whole_even_when_they_are_long(tmp_path: Path) -> None:
    import os

    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    Teller(descriptor).said("x" * 200_000)
    os.close(descriptor)

    assert (tmp_path / "out").read_bytes().count(b"\n") == 1
