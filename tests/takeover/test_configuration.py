"""Old configuration becomes a workflow.yaml that loads; what is left is listed with file and line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.load import LoadedConfig, load
from orchestrator.errors import DiskFailed
from orchestrator.takeover import configuration
from orchestrator.takeover.configuration import Translation
from orchestrator.takeover.original import Original
from tests.takeover.conftest import Taker

A = """
# comment
agents:
  codex:
    enabled: true
    command: "codex"
    role: "implementation"
    timeout: 300
  copilot:
    enabled: false
    command: "gh"
  helper:
    enabled: true
    command: "my-helper --ask"
    timeout: 90
workflows:
  default:
    - agent: "codex"
      task: "implement"
      description: "Create initial implementation"
    - agent: "copilot"
      task: "suggestions"
  quick:
    - agent: "helper"
      task: "implement"
settings:
  max_iterations: 3
  output_dir: "./output"
  log_level: "WARNING"
"""

B = """
execution:
  max_retries: 3
  retry_delay: 5.0
  copilot_mode: "direct"
findings_thresholds: {major: 0, medium: 0, minor: 5}
verification:
  build_enabled: true
  build_command: "python -m pytest --collect-only"
  build_timeout: 300
  lint_enabled: false
  lint_command: "pylint x"
  custom_tests:
    - name: "integration"
      command: "cd it && pytest"
      enabled: true
      severity_on_failure: "medium"
    - name: "off"
      command: "no"
      enabled: false
logging: {level: "INFO", file_path: "data/o.log", max_file_size_mb: 50, backup_count: 5}
artifacts: {retention_days: 30}
copilot: {enabled: true, timeout: 600}
"""


def test_commands_of_w_become_checks_and_the_rest_is_listed(tmp_path: Path) -> None:
    made = translated(
        tmp_path, {".orchestrator.yaml": 'test_command: "pytest -q"\nbuild_command: make | tee x\nodd: 1\n'}
    )

    config = loaded(tmp_path, made).config
    assert config.verify.test[0].run == ("pytest", "-q")
    assert config.verify.build[0].run == ("sh", "-c", "make | tee x")
    assert [(one.file, one.line, one.key) for one in made.unknown] == [(".orchestrator.yaml", 3, "odd")]


def test_of_ws_two_names_the_one_that_w_reads_wins_and_the_difference_is_told(tmp_path: Path) -> None:
    made = translated(
        tmp_path, {".orchestra.yaml": "test_command: nose\n", ".orchestrator.yaml": "test_command: pytest\n"}
    )

    assert loaded(tmp_path, made).config.verify.test[0].run == ("pytest",)
    assert [one.sentence for one in made.problems] == [
        "sets verify.test otherwise than a file before it, and counts"
    ]


def test_agents_and_workflows_of_a_are_taken_over_without_disabled_agents(tmp_path: Path) -> None:
    made = translated(tmp_path, {"config/agents.yaml": A})

    config = loaded(tmp_path, made).config
    assert config.agents["codex"].timeout_s == 300
    assert config.agents["helper"].command == ("my-helper", "--ask")
    assert [step.agent for step in config.workflows["default"].steps] == ["codex"]
    assert config.workflows["quick"].steps[0].agent == "helper"
    assert config.workflows["quick"].max_iterations == 3
    assert config.logging.level == "warning"
    assert [(one.line, one.key, one.reason) for one in made.unknown] == [
        (7, "agents.codex.role", "has no counterpart"),
        (9, "agents.copilot", "is disabled"),
        (21, "workflows.default.1", "names no agent that is enabled"),
        (28, "settings.output_dir", "has no counterpart"),
    ]


def test_checks_thresholds_and_retries_of_b_are_taken_over(tmp_path: Path) -> None:
    made = translated(tmp_path, {"config/orchestrator-config.yaml": B})

    config = loaded(tmp_path, made).config
    assert (config.execution.max_retries, config.execution.retry_backoff_s) == (3, 5.0)
    assert (config.thresholds.max_medium, config.thresholds.max_minor, config.thresholds.on_medium) == (
        0,
        5,
        "fail",
    )
    assert config.verify.build[0].run == ("python", "-m", "pytest", "--collect-only")
    assert config.verify.lint == ()
    assert config.verify.custom[0].run == ("sh", "-c", "cd it && pytest")
    assert (config.logging.rotate_mb, config.logging.keep) == (50, 5)
    assert config.agents["copilot"].timeout_s == 600
    listed = {one.key for one in made.unknown}
    assert listed == {
        "execution.copilot_mode",
        "verification.build_timeout",
        "verification.custom_tests.0.severity_on_failure",
        "verification.custom_tests.1",
        "logging.file_path",
        "artifacts.retention_days",
    }


def test_values_are_not_shown_for_keys_that_are_not_taken_over(tmp_path: Path) -> None:
    made = translated(tmp_path, {".orchestrator.yaml": "test_command: x\napi_key: hunter2\n"})

    assert "api_key" in made.text
    assert "hunter2" not in made.text


def test_a_workflow_yaml_that_is_there_is_left_alone_and_a_proposal_put_beside_it(taker: Taker) -> None:
    taker.paths.config_file.write_text("version: 1\n")

    report = taker.take_over(old_config(taker))

    assert report.config == taker.paths.proposed_config_file
    assert taker.paths.config_file.read_text() == "version: 1\n"
    assert "pytest" in taker.paths.proposed_config_file.read_text()


def test_a_translation_that_the_user_edited_is_not_proposed_again(taker: Taker) -> None:
    originals = old_config(taker)
    taker.take_over(originals)
    taker.paths.config_file.write_text("version: 1\n")

    taker.take_over(originals, again=True)

    assert taker.paths.config_file.read_text() == "version: 1\n"
    assert not taker.paths.proposed_config_file.exists()


def test_one_in_the_root_counts_unless_it_is_a_workflow_of_ws(taker: Taker) -> None:
    root = taker.root / "workflow.yaml"
    root.write_text("version: 1\n")
    before = configuration.target(taker.paths)

    root.write_text("name: Development\nversion: '2.1'\nphases:\n  - {id: PLAN, name: Plan}\n")

    assert before == taker.paths.proposed_config_file
    assert configuration.target(taker.paths) == taker.paths.config_file


def test_a_proposal_that_somebody_edited_is_kept(taker: Taker) -> None:
    taker.paths.config_file.write_text("version: 1\n")
    taker.paths.proposed_config_file.write_text("mine\n")

    report = taker.take_over(old_config(taker))

    assert taker.paths.proposed_config_file.read_text() == "mine\n"
    assert [one.source for one in report.problems] == [".orchestrator/workflow.proposed.yaml"]


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\0", "a: &x [*x]", "a: 1\na: 2\ntest_command: y\n"])
def test_a_file_that_cannot_be_read_is_a_problem_and_no_error(tmp_path: Path, text: str) -> None:
    made = translated(tmp_path, {".orchestrator.yaml": text})

    assert made.problems


def test_a_link_in_the_place_of_a_configuration_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("test_command: leaked\n")
    (tmp_path / ".orchestrator.yaml").symlink_to(tmp_path / "secret")

    made = configuration.translate(
        [Original("w", "config", ".orchestrator.yaml", tmp_path / ".orchestrator.yaml")], tmp_path
    )

    assert made.text == ""
    assert [one.sentence for one in made.problems] == ["is a link"]


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))


@settings(max_examples=40, deadline=None)
@given(command=st.text(max_size=40), name=st.text(max_size=12), other=SCALARS)
def test_whatever_a_value_is_the_text_loads_or_is_not_written(
    tmp_path_factory: pytest.TempPathFactory, command: str, name: str, other: object
) -> None:
    import yaml

    place = tmp_path_factory.mktemp("config")
    text = yaml.safe_dump({"test_command": command, "lint_command": other, name: {name: other}})

    made = translated(
        place,
        {
            ".orchestrator.yaml": text,
            "config/agents.yaml": yaml.safe_dump({"agents": {name: {"command": command}}}),
        },
    )

    if made.text:
        loaded(place, made)


def translated(place: Path, texts: dict[str, str]) -> Translation:
    """Returns the translation of files with these texts."""
    found = []
    for source, text in texts.items():
        path = place / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        found.append(Original("w", "config", source, path))
    scratch = place / "scratch"
    scratch.mkdir()
    return configuration.translate(found, scratch)


def loaded(place: Path, made: Translation) -> LoadedConfig:
    """Returns what the loader makes of a translation."""
    root = place / "fresh"
    (root / ".orchestrator").mkdir(parents=True)
    (root / ".orchestrator/workflow.yaml").write_text(made.text, encoding="utf-8")
    return load(
        repository=root, state_root=root, environment={}, system_file=root / "no", user_file=root / "no"
    )


def old_config(taker: Taker) -> list[Original]:
    path = taker.place / ".orchestrator.yaml"
    path.write_text(textwrap.dedent('test_command: "pytest"\n'))
    return [Original("w", "config", ".orchestrator.yaml", path)]


def test_a_disk_that_refuses_the_trial_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(A)
    (tmp_path / ".orchestrator").write_text("in the way")
    found = [Original("a", "config", "config/agents.yaml", tmp_path / "agents.yaml")]

    with pytest.raises(DiskFailed) as failed:
        configuration.translate(found, tmp_path)

    assert str(tmp_path / ".orchestrator") in failed.value.message
