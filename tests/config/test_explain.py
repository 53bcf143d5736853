"""What a key means, what applies and who says so."""

from __future__ import annotations

import pytest

from orchestrator.config.explain import explain, show
from orchestrator.config.fields import declared
from orchestrator.errors import Refused
from tests.config.conftest import Layers


def test_every_value_is_shown_with_its_origin(layers: Layers) -> None:
    layers.write("user", "agents: {claude: {model: opus}}\n")

    rows = {row.key: row for row in show(layers.load("limits: {cpu_s: 3}\nverify: {test: [[make, test]]}\n"))}

    assert rows["limits.cpu_s"].value == 3
    assert rows["limits.cpu_s"].origin.place == ".orchestrator/workflow.yaml:1"
    assert rows["verify.test.0.run"].value == ["make", "test"]
    assert rows["verify.lint"].value == []
    assert rows["execution.timeout_s"].value == 3600
    assert rows["execution.timeout_s"].origin.place == "default"
    assert rows["agents.claude.model"].value == "opus"
    assert rows["workflows"].value == {}
    assert "agents.claude.args" not in rows


def test_only_what_works_is_shown(layers: Layers) -> None:
    keys = {row.key for row in show(layers.load("retrieval: {store: null}\n"))}

    assert not any(key.startswith(("retrieval.store", "budget.allowed_hours")) for key in keys)
    assert "execution.max_parallel" not in keys


def test_a_key_is_explained(layers: Layers) -> None:
    found = explain("execution.timeout_s", layers.load("execution:\n  timeout_s: 60\n"))

    assert found.description.startswith("Seconds after which")
    assert found.type == "number"
    assert found.default == 3600
    assert found.value == 60
    assert found.origin.place == ".orchestrator/workflow.yaml:2"
    assert found.is_available
    assert not found.is_required
    assert found.keys == ()


def test_sections_names_and_later_keys_are_explained_too(layers: Layers) -> None:
    loaded = layers.load("agents: {claude: {model: opus}}\nworkflows: {w: [{agent: codex}]}\n")

    assert explain("agents.claude.model", loaded).value == "opus"
    assert explain("agents.other.model", loaded).value is None
    assert explain("agents.<name>.kind", loaded).is_required
    assert "model" in explain("agents.claude", loaded).keys
    assert explain("agents.claude", loaded).default is None
    assert explain("workflows.w.steps.0.agent", loaded).value == "codex"
    assert explain("workflows.w.steps.7.agent", loaded).value is None
    assert explain("verify.test.0.run.0", loaded).value is None
    assert not explain("retrieval.store", loaded).is_available
    assert explain("models.big.provider", loaded).is_available
    assert explain("thresholds", loaded).default == {
        "max_major": 0,
        "max_medium": 5,
        "max_minor": None,
        "on_medium": "warn",
        "scope": "new",
    }


def test_every_declared_key_can_be_explained(layers: Layers) -> None:
    loaded = layers.load()

    for each in declared():
        assert explain(each.key, loaded).description


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("execution.timout_s", "orchestrator config explain execution.timeout_s"),
        ("timeout_s", "orchestrator config explain agents.<name>.timeout_s"),
        ("", "orchestrator config show"),
        ("limits.cpu_s.x", "orchestrator config explain limits.cpu_s"),
        ("qqqqqqqqqqqqqqqqqqqqqqqqq\x1b", "orchestrator config show"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest(layers: Layers, key: str, hint: str) -> None:
    with pytest.raises(Refused) as caught:
        explain(key, layers.load())

    assert caught.value.code == "unknown-key"
    assert caught.value.hint.endswith(hint)
    assert caught.value.message.isprintable()
