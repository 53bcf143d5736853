"""The catalogue is data: validated whole, recognised by content, extended by the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.migrate.catalogue import HOME, How, Kind, load_catalogue, parse_layout
from orchestrator.migrate.supplied import hashes, supplied_files
from orchestrator.migrate.survey import survey
from tests.migrate.building import database, plain, put, put_json, w, w_inside

GOOD = """
schema_version: 1
name: mine
title: My own
deprecated_since: {version: "0.2", date: 2026-11-20}
read_until: {version: "1.0", date: 2027-11-30}
recognise: {any: [{path: mine.json, json_keys: [mine]}]}
entries:
  - {source: mine.json, kind: state, action: import}
"""


def names(root: Path, home: Path | None = None) -> list[str]:
    return sorted(layout.name for layout in survey(root, load_catalogue(), home).layouts)


def found(root: Path, home: Path | None = None) -> dict[str, How]:
    return {one.source: one.entry.action for one in survey(root, load_catalogue(), home).found}


def test_every_layout_of_the_package_is_valid_and_gives_half_a_year_and_a_major_version() -> None:
    catalogue = load_catalogue()

    assert [layout.name for layout in catalogue] == ["a", "b", "c", "others", "plain", "w-inside", "w"]
    for layout in catalogue:
        assert (layout.read_until.date - layout.deprecated_since.date).days >= 182


def test_no_layout_moves_what_is_the_users_or_at_home_or_a_private_key() -> None:
    for layout in load_catalogue():
        for entry in layout.entries:
            if entry.kind is Kind.USER_OWNED or entry.source.startswith(HOME) or entry.private_key:
                assert entry.action is How.REPORT


@pytest.mark.parametrize(("name", "build"), [("plain", plain), ("w", w), ("w-inside", w_inside)])
def test_a_layout_is_recognised(tmp_path: Path, name: str, build: Callable[[Path], None]) -> None:
    build(tmp_path)

    assert names(tmp_path) == [name]


def test_names_alone_are_not_enough(tmp_path: Path) -> None:
    put(tmp_path / "logs/a.log")
    put(tmp_path / "checkpoints/model.bin")
    put(tmp_path / "sessions/a.json", b"{}")
    put(tmp_path / "orchestrator.db", b"SQLite, of any program")
    put(tmp_path / "data/orchestrator.log")
    put_json(tmp_path / "data/id_mapping.json", {"of": "another tool"})
    put(tmp_path / "data/cache/x")
    put_json(tmp_path / ".workflow_state.json", {"of": "another tool"})
    put(tmp_path / ".orchestrator/state.json", b"{not json")

    assert names(tmp_path) == []


def test_one_name_with_two_schemas_is_told_apart_by_content(tmp_path: Path) -> None:
    put_json(tmp_path / ".orchestrator/state.json", {"manifests": []})
    assert names(tmp_path) == []

    put_json(tmp_path / ".orchestrator/state.json", {"tasks": {}})

    assert names(tmp_path) == ["w-inside"]


def test_the_smaller_ancestors_are_recognised(tmp_path: Path) -> None:
    put(tmp_path / "a/ai-orchestrator.log")
    database(tmp_path / "b/data/orchestrator.db")
    put(tmp_path / "b/data/index/x")
    put(tmp_path / "c/.task-manager/tasks.json", b"{}")
    put(tmp_path / "c/data/backup_20260101/x")
    put(tmp_path / "c/migration_7_stats.json", b"{}")

    assert [names(tmp_path / one) for one in "abc"] == [["a"], ["b"], ["c"]]
    assert set(found(tmp_path / "b")) == {"data/orchestrator.db", "data/index"}
    assert set(found(tmp_path / "c")) == {".task-manager", "data/backup_20260101", "migration_7_stats.json"}


def test_other_tools_leavings_are_only_reported(tmp_path: Path) -> None:
    for name in (".sdd", ".ralph", ".entire", ".claude-flow", ".swarm", ".hive-mind", ".claude/worktrees"):
        put(tmp_path / name / "x")

    actions = found(tmp_path)

    assert len(actions) == 7
    assert set(actions.values()) == {How.REPORT}


def test_files_in_the_home_directory_are_reported_and_never_walked(tmp_path: Path) -> None:
    put(tmp_path / "home/.config/orchestrator/config.yaml")
    w(tmp_path / "repo")

    actions = found(tmp_path / "repo", tmp_path / "home")

    assert actions[str(tmp_path / "home/.config/orchestrator/config.yaml")] is How.REPORT


def test_a_directory_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/prd_state.json")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/.claude").symlink_to("../elsewhere")
    put(tmp_path / "repo/.workflow_log.jsonl")

    assert set(found(tmp_path / "repo")) == {".workflow_log.jsonl"}


def test_a_user_adds_a_layout_of_their_own(tmp_path: Path) -> None:
    put(tmp_path / ".orchestrator/layouts/mine.yaml", GOOD.encode())
    put_json(tmp_path / "repo/mine.json", {"mine": 1})

    supplied = supplied_files(tmp_path / ".orchestrator")
    catalogue = load_catalogue(supplied=[one.layout() for one in supplied])

    assert [one.source for one in survey(tmp_path / "repo", catalogue).found] == ["mine.json"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("source: mine.json", "source: ../mine.json", "not a path below the root"),
        ("source: mine.json", "source: /etc/passwd", "not a path below the root"),
        ("source: mine.json", "source: .git/config", "not a path below the root"),
        ("source: mine.json", 'source: "*"', "names everything"),
        ("action: import", "action: move, target: ../x", "not a path below the root"),
        ("action: import", "action: move, target: state.db", "kept for our own state"),
        ("action: import", "action: move", "needs a target"),
        ("action: import", "action: import, target: x", "takes no target"),
        ("kind: state", "kind: user-owned", "stay where they are"),
        ("action: import", "action: import, private_key: true", "never moved"),
        ("source: mine.json", 'source: "home:x"', "can only be reported"),
        ('version: "1.0"', 'version: "0.9"', "later major version"),
        ("date: 2027-11-30", "date: 2027-01-30", "six months"),
        ("title: My own", "title: My own\nspeed: 3", "Extra inputs"),
        ("any: [{path: mine.json, json_keys: [mine]}]", "any: []", "at least one mark"),
        ("name: mine", "name: [", "layout mine.yaml is not valid"),
        ("name: mine", "name: w", "same name"),
    ],
)
def test_a_wrong_layout_is_refused_with_its_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = put(tmp_path / "mine.yaml", GOOD.replace(old, new, 1).encode())

    with pytest.raises(Refused, match="is not valid") as caught:
        load_catalogue(files=[path])

    assert said in caught.value.message.replace(str(tmp_path) + "/", "")


def test_a_layout_of_many_problems_names_them_all() -> None:
    text = GOOD.replace("kind: state", "kind: nonsense").replace("schema_version: 1", "schema_version: 9")

    with pytest.raises(Refused) as caught:
        parse_layout(text.encode(), "x")

    assert "schema_version" in caught.value.message
    assert "entries.0.kind" in caught.value.message


def test_a_layout_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    put(tmp_path / "real.yaml", GOOD.encode())
    (tmp_path / "mine.yaml").symlink_to("real.yaml")

    with pytest.raises(Refused, match="Cannot read the layout"):
        load_catalogue(files=[tmp_path / "mine.yaml"])


def test_what_is_trusted_of_a_supplied_layout_changes_with_its_bytes_and_never_follows_a_link(
    tmp_path: Path,
) -> None:
    inside = tmp_path / ".orchestrator"
    mine = put(inside / "layouts/mine.yaml", GOOD.encode())
    (inside / "layouts/link.yaml").symlink_to("mine.yaml")

    before = dict(hashes(supplied_files(inside)))
    mine.write_text(GOOD + "# more\n")
    after = dict(hashes(supplied_files(inside)))

    name, link = ".orchestrator/layouts/mine.yaml", ".orchestrator/layouts/link.yaml"
    assert before.keys() == after.keys() == {name, link}
    assert before[name] != after[name]
    assert "Cannot read" in supplied_files(inside)[0].told()[1]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.orchestrator").symlink_to(inside)
    assert supplied_files(tmp_path / "elsewhere/.orchestrator") == ()
