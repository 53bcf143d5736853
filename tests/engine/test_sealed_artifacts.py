"""`artifacts.encrypt`: transcripts and outputs of checks are readable with the private key alone."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from orchestrator.engine.decisions import cancel_run
from orchestrator.engine.start import preview
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe
from orchestrator.model.run import RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.secretstore import age
from orchestrator.secretstore.identity import load_identities
from tests.engine.scene import Scene

SAID = "what the agent said"
CHECKED = "4710001"
CONFIG = """
    artifacts: {encrypt: true}
    verify: {custom: [{run: ["sh", "-c", "expr 4710000 + 1; exit 1"]}]}
    execution: {max_retries: 0, retry_backoff_s: 0}
    """


def configure(scene: Scene) -> None:
    scene.configure(CONFIG)
    paths = OrchestratorPaths(scene.root)
    text = paths.config_file.read_text()
    paths.config_file.write_text(text.replace("execution: {retry_backoff_s: 0}\n", "", 1))


def artifacts(scene: Scene) -> list[Path]:
    return sorted(path for path in (scene.root / ".orchestrator/artifacts").rglob("*") if path.is_file())


def opened(path: Path) -> str:
    return age.decrypt(path.read_bytes(), load_identities(os.environ), str(path)).decode()


def test_transcripts_and_outputs_are_encrypted_and_recorded_as_such(scene: Scene) -> None:
    configure(scene)

    run = scene.run(run_id="r1", command=scene.program("agent", f"print({SAID!r}); open('made', 'w')"))

    assert run.status is RunStatus.COMPLETED
    found = artifacts(scene)
    assert {path.suffix for path in found} == {".age"}
    assert {SAID, CHECKED} <= {line for path in found for line in opened(path).splitlines()}
    with scene.open() as workspace:
        recorded = {one.path: one for one in workspace.state.get_artifacts(run.id)}
    assert sorted(recorded) == [str(path.relative_to(path.parents[1])) for path in found]
    assert all(recorded[f"r1/{path.name}"].size_bytes == path.stat().st_size for path in found)
    assert [path for path in found if CHECKED.encode() in path.read_bytes()] == []


def test_what_a_kill_left_in_plain_text_is_encrypted_by_the_next_call(scene: Scene) -> None:
    configure(scene)
    program = scene.program("agent", f"import sys, time; print({SAID!r}, flush=True); time.sleep(0.2)")
    run_id = scene.start(run_id="r1", command=program)
    child = os.fork()
    if child == 0:

        def kill(effect: str) -> None:
            if effect.endswith(".age") and effect.startswith("write"):
                os.kill(os.getpid(), signal.SIGKILL)

        with observe(kill):
            scene.work(run_id)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert [path for path in artifacts(scene) if path.suffix != ".age"] != []

    scene.resume(run_id)

    assert {path.suffix for path in artifacts(scene)} == {".age"}


def test_a_kill_between_the_two_files_is_finished_by_a_second_call(scene: Scene) -> None:
    configure(scene)
    with scene.open() as workspace:
        sealer, plain = workspace.context.sealer, scene.root / "output"
        plain.write_text("text")
        sealer.seal(plain)
        plain.write_text("text")

        sealed = sealer.seal(plain)

    assert (opened(sealed), plain.exists()) == ("text", False)


def test_without_a_usable_recipient_nothing_is_begun(scene: Scene) -> None:
    configure(scene)
    with scene.open() as workspace:
        place = workspace.paths.secrets_dir / workspace.layout.repo_id
        Disk().make_dir(place.parent)
        Disk().make_dir(place)
        Disk().write(place / "recipients.txt", b"ecdsa-sha2-nistp256 AAAA somebody\n")

    with pytest.raises(Refused) as refused:
        scene.start(run_id="r1", command="true")

    assert refused.value.code == "recipient-invalid"
    with scene.open() as workspace:
        assert workspace.state.list_runs() == []


def test_every_attempt_keeps_an_output_of_its_own(scene: Scene) -> None:
    scene.configure(
        """
        artifacts: {encrypt: true}
        verify: {custom: [{run: ["sh", "-c", "cat made; test ! -e made"]}]}
        """
    )
    program = scene.program("agent", "import os, pathlib; pathlib.Path('made').write_text(str(os.getpid()))")

    run = scene.run(run_id="r1", command=program)

    with scene.open() as workspace:
        kept = [one for one in workspace.state.get_artifacts(run.id) if one.type == "output"]
        told = [event.data["output"] for event in workspace.state.events(run.id) if "output" in event.data]
    assert len({one.path for one in kept if "head" in one.path}) == 3
    assert len({one.path for one in kept}) == len(kept)
    place = scene.root / ".orchestrator/artifacts"
    assert {hashlib.sha256((place / one.path).read_bytes()).hexdigest() for one in kept} == {
        one.hash for one in kept
    }
    assert [f"r1/{name}" for name in told] == [one.path for one in kept]


def test_prompts_and_outputs_of_setup_are_encrypted_before_the_run_ends(scene: Scene) -> None:
    configure(scene)
    paths = OrchestratorPaths(scene.root)
    with paths.config_file.open("a") as file:
        file.write('worktrees: {setup: [["echo", "made ready"]]}\n')
    program = scene.program("agent", "import sys; open('made', 'w').write(open(sys.argv[1]).read())")
    run_id = scene.start(run_id="r1", command=f"{program} {{prompt_file}}")
    plain_at_end: list[Path] = []

    def look(effect: str) -> None:
        if "r1/main" in effect and effect.startswith("remove"):
            plain_at_end.extend(path for path in artifacts(scene) if path.suffix != ".age")

    with observe(look):
        run = scene.work(run_id)

    assert run.status is RunStatus.COMPLETED
    assert {path.suffix for path in artifacts(scene)} == {".age"}
    assert [path.name for path in artifacts(scene) if ".prompt" in path.name] != []
    assert any(opened(path) == "made ready\n" for path in artifacts(scene))
    assert plain_at_end == []


def test_cancelling_a_run_whose_process_died_leaves_nothing_in_plain_text(scene: Scene) -> None:
    configure(scene)
    run_id = scene.start(run_id="r1", command="true")
    with scene.open() as workspace:
        left = workspace.paths.run_artifacts_dir(run_id) / "left.log"
        workspace.disk.make_dir(left.parent)
        left.write_text(SAID)

        after = cancel_run(workspace.context, run_id)

    assert after.status is RunStatus.CANCELLED
    assert [(path.name, opened(path)) for path in artifacts(scene)] == [("left.log.age", SAID)]


def test_a_preview_makes_no_key_and_no_store(scene: Scene, home: Path) -> None:
    configure(scene)

    with scene.open() as workspace:
        preview(workspace.context, scene.request(workspace, task="x", command="true"))

    assert list(home.rglob("age-identity.txt")) == []
    assert not (scene.root / ".orchestrator/secrets").exists()
