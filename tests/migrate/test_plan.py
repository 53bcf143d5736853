"""A plan is pure, says everything, and is what is done or nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.migrate.actions import Options, Plan
from orchestrator.migrate.catalogue import Kind, load_catalogue
from orchestrator.migrate.naming import decode_name, encode_name
from orchestrator.migrate.plan import plan
from orchestrator.migrate.plan_file import plan_from_file, plan_to_file
from orchestrator.migrate.survey import survey
from tests.migrate.building import migrator, plain, put, snapshot, w
from tests.migrate.crashing import copied


def verbs(chosen: Plan) -> dict[str, str]:
    return {action.source: action.action for action in chosen.actions}


def test_a_preview_changes_nothing_and_equals_itself(tmp_path: Path) -> None:
    w(tmp_path)
    before = snapshot(tmp_path)

    first, second = migrator(tmp_path).preview(), migrator(tmp_path).preview()

    assert first.plan == second.plan
    assert snapshot(tmp_path) == before


def test_a_copy_of_the_repository_gets_the_same_migration_id(tmp_path: Path) -> None:
    w(tmp_path / "one")
    copied(tmp_path / "one", tmp_path / "two")

    ids = {migrator(tmp_path / name).preview().plan.id for name in ("one", "two")}

    assert len(ids) == 1


def test_the_json_has_the_fields_of_the_contract_and_no_content_of_a_secret(tmp_path: Path) -> None:
    w(tmp_path)
    put(tmp_path / ".secrets.enc", b"canary-4711")

    document = migrator(tmp_path).preview().to_json()

    text = json.dumps(document)
    assert "canary-4711" not in text
    assert set(document) >= {
        "schema_version",
        "pending",
        "actions",
        "conflicts",
        "bytes_needed",
        "same_filesystem",
    }
    fields = {
        "source",
        "target",
        "action",
        "kind",
        "files",
        "bytes",
        "mode",
        "tracked",
        "sensitive",
        "reason",
    }
    actions = document["actions"]
    assert isinstance(actions, list)
    for action in actions:
        assert isinstance(action, dict)
        assert fields <= set(action)
        assert action["action"] in ("move", "merge", "keep", "skip", "conflict")
    assert document["pending"] is True


def test_what_stays_is_told_with_the_reason(tmp_path: Path) -> None:
    w(tmp_path)

    chosen = migrator(tmp_path).preview().plan

    left = {action.source: action.reason for action in chosen.left_alone}
    assert set(left) == {"workflow.yaml", "LEARNINGS.md", ".env"}
    assert all(left.values())


def test_nothing_old_means_nothing_pending(tmp_path: Path) -> None:
    put(tmp_path / "logs/mine.log")

    assert not migrator(tmp_path).preview().pending
    assert migrator(tmp_path).migrate().did == "nothing"
    assert os.listdir(tmp_path) == ["logs"]


def test_only_the_chosen_kinds_are_moved(tmp_path: Path) -> None:
    plain(tmp_path)

    chosen = plan(survey(tmp_path, load_catalogue()), Options(only=(Kind.LOG,)))

    assert verbs(chosen) == {
        "logs": "move",
        "checkpoints": "skip",
        "orchestrator.db": "skip",
        ".orch_secrets": "skip",
    }
    assert [step.source for step in chosen.steps] == ["logs"]


def test_a_private_key_is_reported_and_not_moved(tmp_path: Path) -> None:
    put(tmp_path / ".workflow_log.jsonl")
    put(tmp_path / ".workflow-orchestrator/keys/age.key", b"AGE-SECRET-KEY-1XYZ")
    put(tmp_path / ".secrets.enc", b"-----BEGIN OPENSSH PRIVATE KEY-----\nx")

    chosen = migrator(tmp_path).preview().plan

    assert verbs(chosen)[".secrets.enc"] == "keep"
    assert verbs(chosen)[".workflow-orchestrator/keys/age.key"] == "keep"
    assert [step.source for step in chosen.steps] == [".workflow_log.jsonl"]


def test_links_whose_meaning_would_change_are_told(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / "latest.json").symlink_to("checkpoints/run-0/cp-0.json")
    (tmp_path / "logs/db").symlink_to("../orchestrator.db")
    (tmp_path / "logs/within").symlink_to("a.log")
    (tmp_path / "logs/absolute").symlink_to(tmp_path / "checkpoints/run-0")
    (tmp_path / "logs/elsewhere").symlink_to(tmp_path / "app.py")

    warnings = " ".join(migrator(tmp_path).preview().plan.warnings)

    assert "latest.json" in warnings
    assert "logs/db" in warnings
    assert "logs/absolute" in warnings
    assert "within" not in warnings
    assert "elsewhere" not in warnings


def test_a_plan_file_is_applied_exactly(tmp_path: Path) -> None:
    w(tmp_path / "repo")
    odd = os.fsdecode(b"\xff.md")
    put(tmp_path / "repo/.orchestrator" / f"review_{odd}")
    put(tmp_path / "repo/.orchestrator/audit.jsonl")
    shown = migrator(tmp_path / "repo").preview().plan
    plan_to_file(shown, tmp_path / "plan.json", Disk())

    read = plan_from_file(tmp_path / "plan.json")
    outcome = migrator(tmp_path / "repo").migrate(shown=read)

    assert read == shown
    assert outcome.plan == shown
    assert any(odd in step.source for step in shown.steps)


def test_a_plan_file_is_refused_when_the_tree_changed_since(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    plain(root)
    shown = migrator(root).preview().plan
    put(root / "checkpoints/run-0/cp-0.json", b"{}" * 29 + b"[]")
    before = snapshot(root)

    with pytest.raises(Refused) as caught:
        migrator(root).migrate(shown=shown)

    assert caught.value.code == "tree-changed"
    assert snapshot(root) == before


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "plan.json", b"{}")

    with pytest.raises(Refused) as caught:
        plan_from_file(tmp_path / "plan.json")

    assert caught.value.code == "plan-unreadable"


@pytest.mark.parametrize("name", ["plain", "base64:eA==", "ü", os.fsdecode(b"a\xff/b"), "base64:"])
def test_names_of_any_bytes_survive_json(name: str) -> None:
    encoded = encode_name(name)

    assert json.loads(json.dumps(encoded).encode()) == encoded
    encoded.encode()
    assert decode_name(encoded) == name


def test_two_layouts_for_one_target_are_refused(tmp_path: Path) -> None:
    plain(tmp_path / "repo")
    text = """
schema_version: 1
name: mine
title: Mine
deprecated_since: {version: "0.2", date: 2026-11-20}
read_until: {version: "1.0", date: 2027-11-30}
recognise: {any: [{path: one}]}
entries:
  - {source: one, kind: log, action: move, target: logs/same}
  - {source: two, kind: log, action: move, target: logs/same}
"""
    mine = put(tmp_path / "mine.yaml", text.encode())
    put(tmp_path / "repo/one")
    put(tmp_path / "repo/two")

    chosen = plan(survey(tmp_path / "repo", load_catalogue(files=[mine])))

    assert [trouble.code for trouble in chosen.troubles] == ["target-twice"]


def test_an_unknown_thing_in_the_directory_makes_it_foreign(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / ".orchestrator/manifests/x")

    assert [one.code for one in migrator(tmp_path).preview().troubles] == ["foreign-directory"]


def test_a_half_migrated_tree_keeps_its_surveyed_parts(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / ".orchestrator").mkdir()
    shutil.move(tmp_path / "checkpoints", tmp_path / ".orchestrator/checkpoints")

    chosen = migrator(tmp_path).preview().plan

    assert sorted(step.source for step in chosen.steps) == [".orch_secrets", "logs", "orchestrator.db"]
