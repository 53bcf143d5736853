"""What is generated from the declarations: schema, page, template; and the example beside the code."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import json_schema, reference
from orchestrator.config.document import parse
from orchestrator.config.fields import declared
from orchestrator.config.origin import Layer
from orchestrator.config.template import SCHEMA_NAME, DetectedCheck, DetectedSetup, render_workflow
from orchestrator.errors import ConfigInvalid
from orchestrator.model.json import Json
from tests.config.conftest import Layers
from tests.config.test_load import CONTRACT

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "workflow.example.yaml"


def accepts(text: str) -> bool:
    schema = json.loads(json_schema.packaged())
    return bool(jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text)))


def test_the_schema_in_the_package_is_current(tmp_path: Path) -> None:
    json_schema.write(tmp_path / "schema.json")

    assert (tmp_path / "schema.json").read_bytes() == json_schema.packaged(), (
        "run: python -m orchestrator.config.json_schema"
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema.packaged()))


def test_the_page_is_current(tmp_path: Path) -> None:
    reference.write(tmp_path / "page.md")

    assert (tmp_path / "page.md").read_text() == reference.FILE.read_text(), (
        "run: python -m orchestrator.config.reference"
    )


def test_the_page_names_every_key_with_its_meaning() -> None:
    page = reference.generate()

    for each in declared():
        assert f"`{each.path[-1]}`" in page
        assert each.field.description


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        CONTRACT,
        EXAMPLE.read_text(),
        "agents:\nverify:\n  test:\n",
        "agents: {claude: }",
        "agents: {claude: {env: {A: b}}}",
        "agents: {x: {kind: command, command: [a]}}",
        "workflows: {w: [{}]}",
        "workflows: {w: {steps: [{agent: claude}]}}",
        "verify: {test: [[make], {run: [a, '{report}'], report: junit}, {run: [a], parse: lines}]}",
        "thresholds: {max_minor: null, on_medium: fail}",
        "execution: {timeout_s: 0.5, max_retries: 0}",
        "roles: {planner: null}",
        "models: {}",
        "models: {b: {}}",
        "web_mode: true",
        "approve: diff",
        "retrieval: {store: x}",
        "version: 2",
        "nothing: 1",
        "limits: {cpu: 1}",
        "limits: {cpu_s: 0}",
        "limits: {cpu_s: a}",
        "agents: {x: {}}",
        "agents: {x: }",
        "agents: {'a b': {kind: claude}}",
        "agents: {x: {kind: acp}}",
        "agents: {x: {kind: command}}",
        "agents: {x: {kind: command, command: []}}",
        "agents: {x: {kind: command, command: [a], model: m}}",
        "agents: {claude: {command: [a]}}",
        "agents: {claude: {stdin: prompt}}",
        "agents: {claude: {env: {ORCHESTRATOR_X: b}}}",
        "agents: {claude: {env: {1: b}}}",
        "agents: {claude: {sandbox: auto}}",
        "workflows: {w: []}",
        "workflows: {w: {steps: []}}",
        "workflows: {w: {steps: [{}], max_iterations: 0}}",
        "workflows: {w: [{optional: 1}]}",
        "workflows: {w: [{when: x}]}",
        "verify: {test: [make]}",
        "verify: {test: [[]]}",
        "verify: {test: [{run: [a], report: junit}]}",
        "verify: {test: [{run: [a], report: xml}]}",
        "verify: {test: [{run: ['']}]}",
        "verify: {where: here}",
        "execution: {timeout_s: 0}",
        "execution: {max_parallel: 3}",
        "execution: {max_parallel: 2}",
        "enforced: x",
    ],
)
def test_schema_and_loader_accept_the_same(layers: Layers, text: str) -> None:
    try:
        layers.load(text)
        loads = True
    except ConfigInvalid:
        loads = False

    assert accepts(text) == loads


def test_the_example_loads_and_mentions_every_key_that_works(layers: Layers) -> None:
    text = EXAMPLE.read_text()

    loaded = layers.load(text)

    assert loaded.hints == ()
    assert [step.agent for step in loaded.config.workflows["default"].steps] == ["codex", "gemini", "claude"]
    for each in declared():
        below = [part for part in declared() if part.path[: len(each.path)] == each.path and part != each]
        around = [part for part in declared() if each.path[: len(part.path)] == part.path]
        if not any(part.is_later for part in around) and not (below and all(part.is_later for part in below)):
            assert f"{each.path[-1]}:" in text or each.path[-1] == "enforced"


def test_the_example_names_the_schema_for_editors() -> None:
    first = EXAMPLE.read_text().splitlines()[0]

    prefix, _, path = first.partition("$schema=")
    assert prefix == "# yaml-language-server: "
    assert (ROOT / path).samefile(json_schema.FILE)


PYTEST = DetectedCheck("test", {"run": ["pytest", "--junitxml={report}"], "report": "junit"}, "tests/")


@pytest.mark.parametrize("agents", [[], ["claude"], ["codex", "claude"]])
@pytest.mark.parametrize("checks", [[], [PYTEST], [PYTEST, DetectedCheck("lint", ["ruff"], "x", False)]])
@pytest.mark.parametrize("setup", [[], [DetectedSetup(("pip", "install"), "lock")]])
def test_what_init_writes_loads_cleanly(
    layers: Layers, agents: list[str], checks: list[DetectedCheck], setup: list[DetectedSetup]
) -> None:
    text = render_workflow(agents, checks, setup)

    loaded = layers.load(text)

    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_NAME}\n")
    assert loaded.hints == ()
    assert [step.agent for workflow in loaded.config.workflows.values() for step in workflow.steps] == agents[
        :1
    ]
    assert len(loaded.config.verify.test) == len(checks[:1])
    assert loaded.config.verify.lint == ()
    assert loaded.config.worktrees.setup == tuple(each.argv for each in setup)
    assert accepts(text)


def test_what_init_comments_out_loads_once_the_marks_are_taken_away(layers: Layers) -> None:
    checks = [PYTEST, DetectedCheck("lint", ["ruff", "check"], "absent", False)]
    text = render_workflow(["claude"], checks, [DetectedSetup(("npm", "ci"), "no npm", False)])

    lines = [
        line.removeprefix("# ") if line.startswith("#   ") or line in KEYS else line
        for line in text.split("\n")
    ]
    config = layers.load(
        "\n".join(line for line in lines if "config explain" not in line and "config show" not in line)
    ).config

    assert config.verify.lint[0].run == ("ruff", "check")
    assert config.worktrees.setup == (("npm", "ci"),)
    assert config.worktrees.bring == (".env",)
    assert config.agents["fixer"].kind == "command"


KEYS = ("# agents:", "# worktrees:", "# verify:", "# workflows:")


def test_commented_settings_show_the_defaults(layers: Layers) -> None:
    text = render_workflow([], [])

    settings = [
        line[2:]
        for line in text.splitlines()
        if line.startswith(("# thresholds", "# execution", "# limits", "# git"))
    ]

    assert len(settings) == 4
    assert layers.load("\n".join(settings)).config == layers.load("").config


@given(words=st.lists(st.text(max_size=8), min_size=1, max_size=4), reason=st.text(max_size=20))
@settings(max_examples=80, deadline=None)
def test_any_words_and_reasons_are_written_so_that_they_read_back(words: list[str], reason: str) -> None:
    entry: Json = {"run": ["x", *words], "report": None, "n": 1}

    text = render_workflow(["claude"], [DetectedCheck("test", entry, reason)])

    node, problems = parse(text.encode(), layer=Layer.REPOSITORY, file="f")
    assert problems == []
    assert node is not None
    assert yaml.safe_load(text)["verify"]["test"][0]["run"] == ["x", *words]


def test_names_that_are_no_text_do_not_break_the_file(layers: Layers) -> None:
    text = render_workflow([], [DetectedCheck("test", ["a\udcffb"], "r\udcff")])

    assert layers.load(text.encode()).config.verify.test[0].run == ("a?b",)
