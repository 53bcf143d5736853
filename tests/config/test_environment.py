"""Variables as a layer."""

from __future__ import annotations

import pytest

from orchestrator.config.environment import key_of, variable_of
from orchestrator.config.fields import declared
from tests.config.conftest import Layers


def test_variables_are_read_with_the_types_of_their_keys(layers: Layers) -> None:
    layers.environment.update(
        ORCHESTRATOR_THRESHOLDS__MAX_MEDIUM="null",
        ORCHESTRATOR_GIT__COMMIT_TRAILERS="false",
        ORCHESTRATOR_WORKTREES__BRING="[.env, 'a b']",
        ORCHESTRATOR_AGENTS__CLAUDE__MODEL="123",
        ORCHESTRATOR_WORKTREES__ROOT="~",
        ORCHESTRATOR_VERIFY__TEST="[[make, test]]",
        ORCHESTRATOR_REQUIRED_VERSION=">=0.1",
    )

    config = layers.load().config

    assert config.thresholds.max_medium is None
    assert not config.git.commit_trailers
    assert config.worktrees.bring == (".env", "a b")
    assert config.agents["claude"].model == "123"
    assert config.worktrees.root is None
    assert config.verify.test[0].run == ("make", "test")
    assert config.required_version == ">=0.1"


def test_names_are_matched_with_those_in_the_files(layers: Layers) -> None:
    layers.environment["ORCHESTRATOR_AGENTS__MY_FIXER__TIMEOUT_S"] = "5"

    config = layers.load("agents: {My-Fixer: {kind: claude}}\n").config

    assert config.agents["My-Fixer"].timeout_s == 5


def test_our_own_and_empty_variables_are_no_configuration(layers: Layers) -> None:
    layers.environment.update(
        ORCHESTRATOR_DIR="x",
        ORCHESTRATOR_EXECUTION="x",
        ORCHESTRATOR_RUN="x",
        ORCHESTRATOR_PAGER="less",
        ORCHESTRATOR_AGE_KEY="x",
        ORCHESTRATOR_AGE_IDENTITY="x",
        ORCHESTRATOR_SECRET_SERVICE_API_KEY="x",
        ORCHESTRATOR_EXECUTION__TIMEOUT_S="",
        OTHER="x",
    )

    assert layers.load().hints == ()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ORCHESTRATOR_EXECUTON__TIMEOUT_S", "; did you mean ORCHESTRATOR_EXECUTION__TIMEOUT_S?"),
        ("ORCHESTRATOR_DIRR", "; did you mean ORCHESTRATOR_DIR?"),
        ("ORCHESTRATOR_EXECUTION_TIMEOUT_S", "; did you mean ORCHESTRATOR_EXECUTION__TIMEOUT_S?"),
        ("ORCHESTRATOR_EXECUTION__TIMEOUT_S__X", "; did you mean ORCHESTRATOR_EXECUTION__TIMEOUT_S?"),
        ("ORCHESTRATOR_AGENTS__", "is not known and has no effect"),
        ("ORCHESTRATOR_QQQQQQQQQQQQQQQQQQQQQQQQQ", "is not known and has no effect."),
    ],
)
def test_unknown_variables_are_told_with_the_nearest_name(layers: Layers, name: str, hint: str) -> None:
    layers.environment[name] = "1"

    loaded = layers.load()

    assert len(loaded.hints) == 1
    assert loaded.hints[0].startswith(f"The variable {name} is not known")
    assert hint in loaded.hints[0]


def test_what_is_wrong_in_a_variable_is_said_with_its_name(layers: Layers) -> None:
    layers.environment.update(
        ORCHESTRATOR_VERIFY__TEST="[[make",
        ORCHESTRATOR_SESSION__PERSIST_EVERY_S="60",
        ORCHESTRATOR_WORKTREES__BRING="\udcff",
    )

    problems = layers.problems()

    assert problems[0].startswith(
        "ORCHESTRATOR_SESSION__PERSIST_EVERY_S: `session.persist_every_s` is not available"
    )
    assert problems[1].startswith("ORCHESTRATOR_VERIFY__TEST: is not YAML")
    assert problems[2] == "ORCHESTRATOR_WORKTREES__BRING: is not UTF-8 here"


def test_enforced_in_the_environment_has_no_effect(layers: Layers) -> None:
    layers.environment["ORCHESTRATOR_ENFORCED"] = "[git.integrate]"

    loaded = layers.load("git: {integrate: none}\n")

    assert loaded.config.git.integrate == "none"
    assert "has no effect" in loaded.hints[0]


def test_each_key_without_free_names_has_a_variable_that_sets_it() -> None:
    for each in declared():
        if "<" not in each.key:
            assert key_of(variable_of(each.path), None) == each.path
