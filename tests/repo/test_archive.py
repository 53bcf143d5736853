"""What stands in the archive's refs is data of others: read with care, or told as unusable."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from orchestrator.errors import Failed
from orchestrator.repo import archive
from orchestrator.repo.remote import Remote
from tests.repo.conftest import RUN, Bench

REF = "refs/orchestrator/archive/2026-11"


def write(bench: Bench, files: dict[str, str]) -> None:
    """Lets the archive's ref stand for a commit with these files."""
    lines = []
    for name, text in files.items():
        words = ["git", "hash-object", "-w", "--stdin"]
        blob = subprocess.run(words, cwd=bench.path, input=text.encode(), capture_output=True, check=True)
        lines.append(f"100644 blob {blob.stdout.decode().strip()}\t{name}")
    words = ["git", "mktree"]
    runs = subprocess.run(
        words, cwd=bench.path, input="\n".join(lines).encode(), capture_output=True, check=True
    )
    entry = f"040000 tree {runs.stdout.decode().strip()}\truns".encode()
    top = subprocess.run(words, cwd=bench.path, input=entry, capture_output=True, check=True)
    commit = bench.git(bench.path, "commit-tree", "-m", "archive", top.stdout.decode().strip())
    bench.git(bench.path, "update-ref", REF, commit)


def record(bench: Bench, **other: object) -> str:
    head = bench.git(bench.path, "rev-parse", "HEAD")
    refs = {f"refs/orchestrator/runs/{RUN}": head}
    whole = {"schema_version": 1, "run_id": RUN, "refs": refs, "document": {"run": {}}, "events": []}
    return json.dumps({**whole, **other})


def test_a_run_in_the_archive_is_found_and_files_of_others_are_not_taken_for_one(bench: Bench) -> None:
    write(bench, {f"{RUN}.json": record(bench), "NOT A RUN.json": "{}"})
    bench.git(bench.path, "update-ref", "refs/orchestrator/archive/strange", "HEAD")

    found = archive.read_archived(bench.repository, RUN)

    assert found is not None
    assert (found.ref, dict(found.document)) == (REF, {"run": {}})
    assert dict(archive.archived_runs(bench.repository)) == {RUN: REF}
    assert archive.months(bench.repository) == (REF,)


@pytest.mark.parametrize(
    "broken",
    [
        lambda bench: "no json",
        lambda bench: "[]",
        lambda bench: "{}",
        lambda bench: record(bench, document=[]),
        lambda bench: record(bench, run_id="another"),
        lambda bench: record(bench, schema_version=2),
        lambda bench: record(bench, refs={"refs/heads/main": "0" * 40}),
        lambda bench: record(bench, refs={f"refs/orchestrator/runs/{RUN}": "--upload-pack=x"}),
        lambda bench: "[" * 100_000,
    ],
)
def test_a_record_that_cannot_be_used_is_told_with_its_ref(
    bench: Bench, broken: Callable[[Bench], str]
) -> None:
    write(bench, {f"{RUN}.json": broken(bench)})

    with pytest.raises(Failed) as failed:
        archive.read_archived(bench.repository, RUN)

    assert failed.value.code == "archive-unreadable"
    assert REF in failed.value.message


def test_a_fetch_never_moves_a_ref_that_is_not_ours(bench: Bench) -> None:
    before = bench.git(bench.path, "rev-parse", "main")

    with pytest.raises(ValueError, match="refs/heads/main is not ours"):
        Remote(bench.repository, str(bench.path)).fetch("refs/heads/main", "refs/heads/main")

    assert bench.git(bench.path, "rev-parse", "main") == before


def test_refs_of_a_remote_are_listed_below_prefixes_or_by_their_whole_names(bench: Bench) -> None:
    for name in ("refs/orchestrator/runs/a/b", "refs/orchestrator/runs-b"):
        bench.git(bench.path, "update-ref", name, "HEAD")
    remote = Remote(bench.repository, str(bench.path))

    assert set(remote.tips("refs/orchestrator/runs/")) == {"refs/orchestrator/runs/a/b"}
    assert set(remote.tips("refs/orchestrator/runs-b")) == {"refs/orchestrator/runs-b"}
    assert set(remote.tips("b")) == set()


def test_a_remote_that_is_not_there_is_told_with_a_command_to_try(bench: Bench) -> None:
    with pytest.raises(Failed) as failed:
        Remote(bench.repository, str(bench.path / "nowhere"), name="origin").tips("refs/")

    assert failed.value.code == "remote-unreachable"
    assert failed.value.hint == "Try it by hand: git ls-remote origin"
