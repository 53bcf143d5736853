from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import Refused
from orchestrator.paths import OrchestratorPaths, is_session_id, names

BASE = Path("/somewhere/repo")
ANY = st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9_./\\-]{0,70}\n?", fullmatch=True)


def attributes(paths: OrchestratorPaths) -> dict[str, Path]:
    return {
        name: value for name, value in vars(paths).items() if isinstance(value, Path) and name != "base_dir"
    }


@given(session=ANY, web=st.booleans())
def test_a_session_never_leaves_its_directory(session: str, web: bool) -> None:
    paths = OrchestratorPaths(BASE, web_mode=web)
    try:
        paths.session_dir(session)
    except Refused:
        refused = True
    else:
        refused = False
    assert refused is not is_session_id(session)
    if refused:
        return
    place = paths.session_dir(session)

    assert place == (paths.sessions_dir / session if web else paths.orchestrator_dir)
    if web:
        assert os.path.normpath(place) == str(place)
        assert place.parent == paths.sessions_dir


@pytest.mark.parametrize(
    "session", ["", ".", "..", "a/b", "a\\b", "_a", "-a", "a" * 65, "é", "a\n", "a\0", "٣", "a.b"]
)
def test_an_id_that_could_escape_or_collide_is_refused(session: str) -> None:
    with pytest.raises(Refused) as refused:
        OrchestratorPaths(BASE, web_mode=True).session_dir(session)

    assert refused.value.code == "session-id-invalid"
    assert refused.value.hint


@pytest.mark.parametrize("session", ["a", "0", "A-b_c", "a" * 64])
def test_an_ordinary_session_has_a_directory_of_its_own(session: str) -> None:
    assert (
        OrchestratorPaths(BASE, web_mode=True).session_dir(session)
        == BASE / ".orchestrator/sessions" / session
    )


def test_every_path_lies_under_the_one_directory() -> None:
    for name, path in attributes(OrchestratorPaths(BASE)).items():
        assert path == BASE / ".orchestrator" or BASE / ".orchestrator" in path.parents, name


def test_no_two_names_mean_the_same_place() -> None:
    places = list(attributes(OrchestratorPaths(BASE, web_mode=True, session_id="s")).values())

    assert len(set(places)) == len(places)


def test_a_session_has_a_whole_state_tree_and_shares_the_rest() -> None:
    outside = attributes(OrchestratorPaths(BASE))
    inside = attributes(OrchestratorPaths(BASE, web_mode=True, session_id="s"))
    place = BASE / ".orchestrator/sessions/s"

    own = {name for name, path in inside.items() if path == place or place in path.parents}
    assert {name for name in inside if inside[name] != outside[name]} == own
    assert {"state_file", "artifacts_dir", "worktrees_dir", "logs_dir", "run_locks_dir", "tmp_dir"} <= own
    assert not own & {"config_file", "layout_file", "secrets_dir", "index_dir", "locks_dir", "prompts_dir"}


def test_the_paths_of_a_run_are_told_apart() -> None:
    paths = OrchestratorPaths(BASE)

    for method in (paths.run_lock, paths.run_artifacts_dir, paths.checkpoint_manifest):
        assert method("r1") != method("r2")
        assert paths.orchestrator_dir in method("r1").parents
    assert paths.run_lock("r1").name.startswith("run-")


def test_naming_paths_touches_no_file(tmp_path: Path) -> None:
    paths = OrchestratorPaths(tmp_path / "none")
    paths.session_dir("s")

    assert not (tmp_path / "none").exists()


def test_the_default_is_the_current_directory() -> None:
    assert OrchestratorPaths().orchestrator_dir == Path(".orchestrator")
    assert OrchestratorPaths().web_mode is False


def test_what_a_clone_may_hold_is_named_once() -> None:
    assert {names.CONFIG, names.LAYOUT, names.IGNORE} <= names.COMMITTABLE
    assert names.STATE not in names.COMMITTABLE
    assert names.LOCAL_CONFIG not in names.COMMITTABLE
