"""Secrets of steps: they reach exactly the agent that names them, and nothing else keeps them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.engine.secrets import require_secrets
from orchestrator.errors import CredentialMissing, SecretMissing
from orchestrator.fs.disk import Disk
from orchestrator.model.run import RunOptions, RunStatus
from orchestrator.secretstore.lookup import Prompt
from orchestrator.secretstore.places import global_store
from orchestrator.workspace import SecretPlaces
from tests.engine.scene import Scene

VALUE = "canary-4711-value"
SHOW = """
import json, os, sys
name = sys.argv[1]
json.dump({name: value[::-1] for name, value in os.environ.items()}, open(name, "w"))
"""
"""Writes each value backwards: a file that holds a secret as it is would stop the run."""


def written(scene: Scene, run_id: str, file: str) -> Any:
    """Returns what an agent of a run has written into a JSON file."""
    words = ["git", "show", f"orchestrator/{run_id}:{file}"]
    return json.loads(subprocess.run(words, cwd=scene.root, capture_output=True, check=True).stdout)


def shown(scene: Scene, run_id: str, file: str) -> dict[str, str]:
    """Returns the variables that `SHOW` found and wrote into a file."""
    return {name: value[::-1] for name, value in written(scene, run_id, file).items()}


def configure(scene: Scene, tmp_path: Path, more: str = "") -> None:
    program = tmp_path / "show.py"
    program.write_text(SHOW)
    words = f'"{sys.executable}", "{program}"'
    scene.configure(f"""
        agents:
          named: {{kind: command, command: [{words}, "named.json"], secrets: [SERVICE_API_KEY]}}
          other: {{kind: command, command: [{words}, "other.json"]}}
        workflows:
          default:
            - {{agent: named}}
            - {{agent: other}}
            - {{agent: other, secrets: [SECOND_API_KEY], task: again}}
        {more}
        """)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}


def test_an_agent_gets_what_it_names_and_no_key_of_the_users_shell(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        "ANTHROPIC_API_KEY": "shell-1",
        "AWS_SECRET_ACCESS_KEY": "shell-2",
        "SECOND_API_KEY": "second-one",
    }
    own = {"ORCHESTRATOR_AGE_KEY": "shell-3", "ORCHESTRATOR_SECRET_SERVICE_API_KEY": VALUE}
    for name, value in {**keys, **own}.items():
        monkeypatch.setenv(name, value)  # as in a shell: also where nobody asks the caller
    check = tmp_path / "check.py"
    check.write_text(f"import os, sys; sys.exit(any(name in os.environ for name in {[*keys, *own]!r}))")
    configure(scene, tmp_path, f'verify: {{custom: [["{sys.executable}", "{check}"]]}}')
    scene.environment = environment()

    run = scene.run(run_id="r1")

    assert run.status is RunStatus.COMPLETED, run
    assert run.metadata.progress.outcome == "verified"
    named = shown(scene, "r1", "named.json")
    assert named["SERVICE_API_KEY"] == VALUE
    assert not set(named) & {*keys, *own}
    last = shown(scene, "r1", "other.json")
    assert last["SECOND_API_KEY"] == "second-one"
    assert not set(last) & {"ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "SERVICE_API_KEY", *own}


def test_a_value_is_kept_nowhere(scene: Scene, tmp_path: Path) -> None:
    scene.configure(f"""
        agents:
          quiet: {{kind: command, command: ["{sys.executable}", "-c", "open('made', 'w')"], secrets: [A_KEY]}}
        workflows: {{default: [{{agent: quiet}}]}}
        """)
    global_store(Disk()).set("A_KEY", VALUE.encode(), {})
    scene.environment = environment()

    assert scene.run(run_id="r1").status is RunStatus.COMPLETED

    home = Path(os.environ["HOME"])
    everything = [path for root in (scene.root, home) for path in root.rglob("*") if path.is_file()]
    assert [path for path in everything if VALUE.encode() in path.read_bytes()] == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_no_process_but_the_agents_own_shows_it(scene: Scene, tmp_path: Path) -> None:
    look = tmp_path / "look.py"
    look.write_text(
        "import glob, json, os\n"
        "found = []\n"
        "for place in glob.glob('/proc/[0-9]*'):\n"
        "    for kind in ('environ', 'cmdline'):\n"
        "        try:\n"
        "            if os.environb[b'A_KEY'] in open(f'{place}/{kind}', 'rb').read():\n"
        "                found.append([int(place[6:]) == os.getpid(), kind])\n"
        "        except OSError:\n"
        "            pass\n"
        "json.dump(found, open('found.json', 'w'))\n"
    )
    scene.configure(f"""
        agents:
          looker: {{kind: command, command: ["{sys.executable}", "{look}"], secrets: [A_KEY]}}
        workflows: {{default: [{{agent: looker}}]}}
        """)
    scene.environment = environment(A_KEY=f"{VALUE}-{os.getpid()}")

    scene.run(run_id="r1")

    assert written(scene, "r1", "found.json") == [[True, "environ"]]


def test_a_missing_secret_is_noticed_before_anything_happens(scene: Scene, tmp_path: Path) -> None:
    configure(scene, tmp_path)
    scene.environment = environment()
    before = sorted(scene.root.rglob("*"))

    with scene.open() as workspace, pytest.raises(SecretMissing) as missing:
        require_secrets(workspace.context, workspace.loaded.config, RunOptions())

    assert missing.value.message == "There is no value for SERVICE_API_KEY, SECOND_API_KEY."
    assert "variable SECOND_API_KEY (not there)" in missing.value.problems[1]
    assert [path for path in sorted(scene.root.rglob("*")) if path not in before] == [
        path for path in sorted(scene.root.rglob("*")) if path.name.startswith(("state.db", "place.json"))
    ]


def test_a_secret_that_is_gone_when_its_step_begins_stops_the_run_which_then_goes_on(
    scene: Scene, tmp_path: Path
) -> None:
    configure(scene, tmp_path)
    scene.environment = environment(SERVICE_API_KEY=VALUE)
    run_id = scene.start(run_id="r1")

    with pytest.raises(CredentialMissing) as missing:
        scene.work(run_id)

    assert missing.value.exit_status == 4
    with scene.open() as workspace:
        assert workspace.state.get_run(run_id).status is RunStatus.EXECUTING
    scene.environment = environment(SERVICE_API_KEY=VALUE, SECOND_API_KEY="second-one")
    assert scene.resume(run_id).status is RunStatus.COMPLETED
    assert shown(scene, "r1", "other.json")["SECOND_API_KEY"] == "second-one"


def test_a_typed_command_gets_nothing_that_a_configured_agent_lists(scene: Scene) -> None:
    scene.configure("""
        agents: {command: {kind: command, command: ["true"], secrets: [A_KEY]}}
        """)
    scene.environment = environment(A_KEY=VALUE)
    program = scene.program("show", SHOW.replace("sys.argv[1]", "'shown.json'"))

    scene.run(run_id="r1", command=program)

    assert "A_KEY" not in shown(scene, "r1", "shown.json")


def test_whoever_hides_values_hears_of_stored_ones_and_of_the_keys_that_a_preset_takes_by_itself(
    scene: Scene,
) -> None:
    global_store(Disk()).set("A_KEY", VALUE.encode(), {})
    heard: list[tuple[str, str]] = []
    with scene.open() as workspace:
        places = SecretPlaces(
            workspace.paths,
            workspace.layout.repo_id,
            {"OPENAI_API_KEY": "sk-its-own", "ANTHROPIC_API_KEY": "sk-of-another"},
            Prompt(None),
            lambda name, value: heard.append((name, value)),
        )
        agent = PresetAgent("codex", PRESETS["codex"])

        given = places(("A_KEY",), config=workspace.loaded.config, overrides={}, passed=agent.credentials)

    assert given == {"A_KEY": VALUE}
    assert heard == [("OPENAI_API_KEY", "sk-its-own"), ("A_KEY", VALUE)]
    assert "sk-its-own" not in repr(places)


def test_what_is_written_for_the_agent_goes_before_every_place(scene: Scene, tmp_path: Path) -> None:
    program = tmp_path / "show.py"
    program.write_text(SHOW)
    words = f'"{sys.executable}", "{program}", "shown.json"'
    scene.configure(f"""
        agents:
          one: {{kind: command, command: [{words}], secrets: [GH_TOKEN], env: {{GH_TOKEN: proxy-injected}}}}
        workflows: {{default: [{{agent: one}}]}}
        """)
    scene.environment = environment(GH_TOKEN="another")

    scene.run(run_id="r1")

    assert shown(scene, "r1", "shown.json")["GH_TOKEN"] == "proxy-injected"
