"""Puts each case on a stage of its own, inside a namespace that holds loopback alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.real.agents import REAL, Via
from tests.real.namespace import interfaces
from tests.real.places import SCENES
from tests.real.scene import Scene
from tests.scripted_model.server import ScriptedModel

_BY_NAME = {agent.name: agent for agent in REAL}


@pytest.fixture(scope="session")
def loopback_alone() -> None:
    """Skips everything where more than loopback could be reached."""
    if interfaces() != ["lo"]:
        pytest.skip("a real agent is started in a network namespace alone: make test-agents")


@pytest.fixture(scope="session")
def model(loopback_alone: None) -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def scene(
    name: str,
    via: Via,
    request: pytest.FixtureRequest,
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    """Returns the stage of one case, and takes it down when the case has passed."""
    agent = _BY_NAME[name]
    case = request.function.__name__.removeprefix("test_")
    if reason := agent.missing(via):
        pytest.skip(reason)
    scene = Scene(agent, via, case, SCENES / f"{name}-{via}-{case}", model)
    shutil.rmtree(scene.place, ignore_errors=True)
    scene.prepare()
    for variable in list(os.environ):
        if not variable.startswith("PYTEST_"):
            monkeypatch.delenv(variable)
    for variable, value in scene.environment().items():
        monkeypatch.setenv(variable, value)
    failed_before = request.session.testsfailed
    yield scene
    if request.session.testsfailed == failed_before:
        shutil.rmtree(scene.place, ignore_errors=True)
