"""What the system's and the user's file may fix for the layers after them."""

from __future__ import annotations

from tests.config.conftest import Layers


def test_a_repository_cannot_change_what_the_system_enforces(layers: Layers) -> None:
    system = layers.write("system", "git: {integrate: branch}\nenforced: [git.integrate, limits]\n")

    loaded = layers.load("git: {integrate: merge, commit_trailers: false}\nlimits: {cpu_s: 3}\n")

    assert loaded.config.git.integrate == "branch"
    assert not loaded.config.git.commit_trailers
    assert loaded.config.limits.cpu_s is None
    assert loaded.config.enforced == ("git.integrate", "limits")
    assert loaded.hints == (
        f"`git.integrate` is enforced by {system}:2; its value in .orchestrator/workflow.yaml:1 is not used.",
        f"`limits` is enforced by {system}:2; its value in .orchestrator/workflow.yaml:2 is not used.",
    )


def test_saying_the_same_as_the_enforced_value_is_nothing_to_mention(layers: Layers) -> None:
    layers.write("system", "execution: {timeout_s: 60}\nenforced: [execution.timeout_s, git.integrate]\n")
    layers.environment["ORCHESTRATOR_GIT__INTEGRATE"] = "branch"

    assert layers.load("execution: {timeout_s: 60.0}\n").hints == ()


def test_variables_and_flags_against_an_enforced_key_are_refused(layers: Layers) -> None:
    user = layers.write("user", "enforced: [git, execution.timeout_s]\n")
    layers.environment["ORCHESTRATOR_EXECUTION__TIMEOUT_S"] = "5"
    layers.flags["git.integrate"] = "merge"

    assert layers.problems() == (
        f"ORCHESTRATOR_EXECUTION__TIMEOUT_S: `execution.timeout_s` is enforced by {user}:1",
        f"command line: `git` is enforced by {user}:1",
    )


def test_the_user_can_add_to_what_the_system_enforces_and_not_take_away(layers: Layers) -> None:
    layers.write("system", "enforced: [git.integrate]\n")
    layers.write("user", "enforced: [limits.cpu_s, git.integrate]\ngit: {integrate: none}\n")

    loaded = layers.load("limits: {cpu_s: 3}\n")

    assert loaded.config.enforced == ("git.integrate", "limits.cpu_s")
    assert loaded.config.git.integrate == "branch"
    assert loaded.config.limits.cpu_s is None


def test_the_user_cannot_empty_the_systems_list(layers: Layers) -> None:
    layers.write("system", "enforced: [git.integrate]\n")
    layers.write("user", "enforced: []\n")

    assert layers.load("git: {integrate: merge}\n").config.git.integrate == "branch"


def test_a_repository_enforces_nothing_and_is_told(layers: Layers) -> None:
    layers.flags["git.integrate"] = "merge"

    loaded = layers.load("enforced: [git.integrate]\n")

    assert loaded.config.git.integrate == "merge"
    assert loaded.config.enforced == ()
    assert loaded.hints == (
        "`enforced` in .orchestrator/workflow.yaml:1 has no effect: only the system's file and yours may.",
    )


def test_enforcing_an_unknown_key_is_a_mistake(layers: Layers) -> None:
    user = layers.write("user", "enforced: [git.integate, 3]\n")

    assert layers.problems() == (
        f"{user}:1:12: `git.integate` is not a key; did you mean `git.integrate`?",
        f"{user}:1:26: `enforced.1` must be text (in quotes where it looks like something else), not 3",
    )


def test_what_could_not_be_enforced_is_refused_instead_of_ignored(layers: Layers) -> None:
    user = layers.write("user", "enforced: [verify.test.0.run, agents.<name>.env, x]\n")

    assert layers.problems() == (
        f"{user}:1:12: `verify.test.0.run` is within a list, which is enforced as a whole: verify.test",
        f"{user}:1:31: `agents.<name>.env` names no agent or workflow",
        f"{user}:1:50: `x` is not a key",
    )


def test_an_enforced_key_cannot_be_buried_under_a_value_of_another_shape(layers: Layers) -> None:
    layers.write("user", "git: {integrate: none}\nenforced: [git.integrate]\n")

    assert layers.load("git: \n").config.git.integrate == "none"
    assert '`git` must be a mapping, not "merge"' in layers.problems("git: merge\n")[0]


def test_keys_of_named_parts_can_be_enforced(layers: Layers) -> None:
    layers.write("user", "agents: {claude: {env: {A: b}}}\nenforced: [agents.claude.env]\n")

    config = layers.load("agents: {claude: {model: m, env: {ANTHROPIC_BASE_URL: evil}}}\n").config

    assert config.agents["claude"].env == {"A": "b"}
    assert config.agents["claude"].model == "m"
