from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from orchestrator.agents.homes import login_of, settle
from orchestrator.agents.preset import PresetAgent
from orchestrator.agents.presets import PRESETS
from orchestrator.model.agent import Login
from tests.agents.conftest import Turn

SHOW = """#!{python} -IS
import json, os
json.dump(dict(os.environ), open("shown.json", "w"))
"""
VARIABLES = {
    "claude": {"CLAUDE_CONFIG_DIR": ""},
    "codex": {"CODEX_HOME": ""},
    "gemini": {"GEMINI_CLI_HOME": ""},
    "copilot": {"COPILOT_HOME": "", "COPILOT_CACHE_HOME": "cache", "XDG_CACHE_HOME": "xdg-cache"},
    "opencode": {
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_STATE_HOME": "state",
        "XDG_CACHE_HOME": "cache",
    },
}


def agent(name: str, tmp_path: Path, **more: str) -> PresetAgent:
    place = tmp_path / "bin"
    place.mkdir(exist_ok=True)
    program = place / name
    program.write_text(SHOW.format(python=sys.executable))
    program.chmod(0o755)
    return PresetAgent(name, PRESETS[name], variables={"PATH": f"{place}:/usr/bin:/bin", **more})


def environment(worktree: Path) -> dict[str, str]:
    found = json.loads((worktree / "shown.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_a_contained_agent_is_led_to_a_home_of_its_own(
    name: str, take: Turn, worktree: Path, tmp_path: Path, home: Path
) -> None:
    place = tmp_path / "contained" / name
    before = {variable: str(home / "users") for variable in VARIABLES[name]}

    take(agent(name, tmp_path), home=str(place), environment=before)

    led = {variable: environment(worktree)[variable] for variable in VARIABLES[name]}
    assert led == {variable: str(place / below).rstrip("/") for variable, below in VARIABLES[name].items()}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert sorted(path.name for path in home.rglob("*")) == [".gitconfig"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_shared_agent_keeps_the_users_places_and_nothing_is_written_there(
    name: str, take: Turn, worktree: Path, tmp_path: Path, home: Path
) -> None:
    before = {variable: str(home / "users") for variable in VARIABLES[name]}

    take(agent(name, tmp_path), environment=before)

    assert before.items() <= environment(worktree).items()
    assert sorted(path.name for path in home.rglob("*")) == [".gitconfig"]


def test_a_place_that_the_configuration_names_goes_before_ours(
    take: Turn, worktree: Path, tmp_path: Path
) -> None:
    take(agent("codex", tmp_path, CODEX_HOME="/mine"), home=str(tmp_path / "contained"))

    assert environment(worktree)["CODEX_HOME"] == "/mine"


@pytest.mark.parametrize(
    ("key", "kind"), [("GEMINI_API_KEY", "gemini-api-key"), ("GOOGLE_API_KEY", "vertex-ai")]
)
def test_gemini_is_told_how_it_proves_who_asks(
    key: str, kind: str, take: Turn, worktree: Path, tmp_path: Path
) -> None:
    take(agent("gemini", tmp_path), home=str(tmp_path / "contained"), secrets={key: "dummy"})

    settings = json.loads((tmp_path / "contained/.gemini/settings.json").read_text())
    assert settings["security"]["auth"]["selectedType"] == kind


def test_what_is_in_a_home_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine = true\n")

    settle(PRESETS["codex"].home, str(tmp_path), {})

    assert (tmp_path / "config.toml").read_text() == "mine = true\n"


def test_a_home_begins_with_settings_that_only_the_owner_can_read(tmp_path: Path) -> None:
    settle(PRESETS["opencode"].home, str(tmp_path / "home"), {})

    file = tmp_path / "home/config/opencode/opencode.json"
    assert json.loads(file.read_text()) == {"autoupdate": False, "share": "disabled"}
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


LOGINS = {
    "claude": ".claude/.credentials.json",
    "codex": ".codex/auth.json",
    "gemini": ".gemini/oauth_creds.json",
    "opencode": ".local/share/opencode/auth.json",
}


@pytest.mark.skipif(sys.platform == "darwin", reason="the keychain may hold what no file tells")
@pytest.mark.parametrize("name", PRESETS)
def test_login_or_key_are_found_in_files_and_variables_alone(name: str, tmp_path: Path) -> None:
    made = PresetAgent(name, PRESETS[name])
    place, home = {"HOME": str(tmp_path)}, PRESETS[name].home

    pristine = login_of(home, made.credentials, place)
    with_key = login_of(home, made.credentials, {**place, made.credentials[0]: "sk-1"})
    placeholder = login_of(home, made.credentials, {**place, made.credentials[0]: "proxy-injected"})
    if name in LOGINS:
        (tmp_path / LOGINS[name]).parent.mkdir(parents=True)
        (tmp_path / LOGINS[name]).write_text("{}")
    logged_in = login_of(home, made.credentials, place)

    nobody = Login.UNKNOWN if name in ("copilot", "opencode") else Login.NONE
    assert (pristine, with_key, placeholder) == (nobody, Login.KEY, nobody)
    assert logged_in is (Login.LOGIN if name in LOGINS else Login.UNKNOWN)


def test_settings_that_may_hold_a_key_leave_it_open_whether_somebody_is_logged_in(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")

    found = login_of(PRESETS["codex"].home, (), {"HOME": "/nowhere", "CODEX_HOME": str(tmp_path)})

    assert found is Login.UNKNOWN


def test_a_login_in_a_home_of_ours_counts_for_the_agent_that_works_there(tmp_path: Path) -> None:
    (tmp_path / "data/opencode").mkdir(parents=True)
    (tmp_path / "data/opencode/auth.json").write_text("{}")

    found = login_of(PRESETS["opencode"].home, (), {"HOME": "/nowhere"}, str(tmp_path))

    assert found is Login.LOGIN
