"""`secrets set`, `remove`, `rekey` killed, or refused by the kernel, at every call that changes something."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.fs.temp import PREFIX
from tests.campaign.scene import Scene
from tests.campaign.test_every_call import MODES
from tests.campaign.tracing import broken, points, traced
from tests.conftest import GitCall
from tests.secretstore.conftest import stranger

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("strace")]

OLD = {"A_KEY": "old-value", "B_KEY": "second-value"}


def stored(scene: Scene) -> dict[str, str]:
    """Returns every value that is stored, all of them readable."""
    found = {}
    for path in (scene.place / ".orchestrator" / "secrets").glob("*/*.age"):
        shown = scene.call("secrets", "show", path.stem, "--reveal")
        assert shown.returncode == 0, shown.stderr
        found[path.stem] = shown.stdout
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("command", "after"),
    [
        (("set", "A_KEY", "--file", "value"), {**OLD, "A_KEY": "new-value"}),
        (("remove", "A_KEY", "--yes"), {"B_KEY": "second-value"}),
        (("rekey",), OLD),
    ],
)
def test_before_or_after_and_the_same_command_finishes(
    repository: Path,
    git: GitCall,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    after: dict[str, str],
    mode: str,
) -> None:
    log, stage, pristine = tmp_path / "trace", tmp_path / "stage", tmp_path / "pristine"
    stage.mkdir()
    (stage / "home").mkdir()
    repository.rename(stage / "repo")
    monkeypatch.setenv("HOME", str(stage / "home"))
    scene = Scene(stage / "repo", git)
    scene.initialise()
    for name, value in {**OLD, "A_KEY": "old-value"}.items():
        (scene.place / "value").write_text(value)
        assert scene.call("secrets", "set", name, "--file", "value").returncode == 0
    (scene.place / "value").write_text("new-value")
    assert scene.call("secrets", "recipients", "add", stranger()[1]).returncode == 0
    shutil.copytree(stage, pristine, symlinks=True)
    words = ("secrets", *command)
    assert traced(scene, words, log).returncode == 0
    assert stored(scene) == after
    found = points(log, below=stage)

    for name, ordinal in found:
        shutil.rmtree(stage)
        shutil.copytree(pristine, stage, symlinks=True)
        broken(scene, words, log, (name, ordinal), mode)
        assert stored(scene) in (OLD, after), (name, ordinal)
        again = scene.call(*words)
        gone = command[0] == "remove" and "secret-unknown" in again.stderr
        assert again.returncode == 0 or gone, (name, ordinal, again.stderr)
        assert stored(scene) == after, (name, ordinal)
        litter = [path for path in (scene.place / ".orchestrator" / "secrets").rglob(f"{PREFIX}*")]
        assert litter == [] or gone, (name, ordinal)
    assert len(found) >= 4
