"""Layers, origins, and everything that is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.config import version_pin
from orchestrator.config.explain import show
from orchestrator.config.fields import declared
from orchestrator.config.frozen import freeze, thaw
from orchestrator.config.load import LoadedConfig, load, system_config_file, user_config_file
from orchestrator.config.origin import Layer
from orchestrator.config.schema import Config
from orchestrator.config.trust import describe, repository_commands
from orchestrator.errors import ConfigInvalid, Refused
from orchestrator.model.json import Json
from tests.config.conftest import Layers

CONTRACT = """\
version: 1
required-version: ">=0.1,<1"
include: []
agents:
  fixer: {kind: command, command: ["ruff", "check", "--fix", "."]}
  claude: {kind: claude, model: sonnet}
workflows:
  default:
    - agent: "codex"
      task: "implement"
    - agent: "gemini"
      task: "review"
    - agent: "claude"
      task: "refine"
  thorough:
    steps:
      - {agent: "codex", task: "implement", description: "Create initial implementation"}
      - {agent: "copilot", task: "suggestions", optional: true}
worktrees: {root: null, setup: [["pip", "install", "-e", "."]], bring: [".env"], checkpoint_include: []}
verify:
  where: clean
  build: []
  test: [{run: ["python", "-m", "pytest", "-q", "--junitxml={report}"], report: junit}]
  lint: [{run: ["ruff", "check", "--output-format", "json", "."], parse: ruff}]
  security: []
  custom: []
thresholds: {max_major: 0, max_medium: 5, max_minor: null, on_medium: warn, scope: new}
execution:
  max_retries: 2
  timeout_s: 3600
  idle_timeout_s: 600
  max_parallel: 2
  stuck_after_s: 900
  retry_backoff_s: 5
limits: {memory_mb: null, cpu_s: null, processes: null, disk_mb: null}
budget: {max_cost_usd: null, max_tokens: null, max_turns: null, allowed_hours: null}
approve: never
git: {integrate: branch, commit_trailers: true}
artifacts: {keep_days: 90, compress: true, encrypt: false}
logging: {level: info, format: text, rotate_mb: 10, keep: 5}
secrets: {mode: local, max_age_days: null, providers: []}
session:
  persist_every_s: 120
  push: false
  remote: null
  transports: [ref, branch]
  max_bytes: 209715200
  max_age_days: 30
web_mode: auto
migration: {auto: prompt}
retrieval: {kinds: [source], budget_tokens: 8000, embedder: null, store: null}
enforced: []
"""


def test_without_any_file_the_defaults_apply(layers: Layers) -> None:
    loaded = layers.load()

    assert loaded.config == Config()
    assert loaded.workflow_yaml is None
    assert loaded.supplied == "{}"
    assert loaded.origin("execution.timeout_s").place == "default"


def test_the_whole_file_of_the_contract_loads_with_later_keys_at_their_defaults(layers: Layers) -> None:
    loaded = layers.load(CONTRACT)

    assert loaded.workflow_yaml == CONTRACT.encode()
    assert [step.agent for step in loaded.config.workflows["default"].steps] == ["codex", "gemini", "claude"]
    assert loaded.config.workflows["thorough"].steps[1].optional
    assert loaded.config.agents["fixer"].command == ("ruff", "check", "--fix", ".")
    assert loaded.config.verify.test[0].report == "junit"
    assert loaded.hints == ()


def test_later_layers_win_maps_are_merged_and_lists_replaced(layers: Layers) -> None:
    layers.write("system", "execution: {timeout_s: 1, max_retries: 1}\nlimits: {cpu_s: 1}\n")
    layers.write("user", "execution: {timeout_s: 2}\nworktrees: {bring: [a, b]}\n")
    layers.write("repository", "execution: {timeout_s: 3}\nworktrees: {bring: [c]}\n")
    layers.write("local", "execution: {timeout_s: 4}\n")
    layers.environment["ORCHESTRATOR_EXECUTION__TIMEOUT_S"] = "5"

    loaded = layers.load()
    assert loaded.config.execution.timeout_s == 5
    assert loaded.config.execution.max_retries == 1
    assert loaded.config.limits.cpu_s == 1
    assert loaded.config.worktrees.bring == ("c",)
    layers.flags["execution.timeout_s"] = 6
    assert layers.load().config.execution.timeout_s == 6


def test_every_value_knows_its_file_and_line(layers: Layers) -> None:
    user = layers.write("user", "\nlimits:\n  cpu_s: 1\n")
    layers.write(
        "repository", "version: 1\nexecution:\n  timeout_s: 3\nverify:\n  test:\n    - [make, test]\n"
    )
    layers.write("local", "agents: {claude: {model: opus}}\n")
    layers.environment["ORCHESTRATOR_EXECUTION__MAX_RETRIES"] = "5"
    layers.flags["git.integrate"] = "merge"

    loaded = layers.load()

    places = {key: loaded.origin(key).place for key in loaded.origins}
    assert places["limits.cpu_s"] == f"{user}:3"
    assert places["execution.timeout_s"] == ".orchestrator/workflow.yaml:3"
    assert places["verify.test.0.run"] == ".orchestrator/workflow.yaml:6"
    assert places["agents.claude.model"] == ".orchestrator/workflow.local.yaml:1"
    assert places["execution.max_retries"] == "ORCHESTRATOR_EXECUTION__MAX_RETRIES"
    assert places["git.integrate"] == "command line"
    assert loaded.origin("agents.claude.kind").layer is Layer.LOCAL


def test_all_problems_of_all_layers_are_named_at_once(layers: Layers) -> None:
    user = layers.write("user", "execution: {timeout_s: soon}\n")
    layers.write("local", "a: [\n")
    layers.environment["ORCHESTRATOR_LIMITS__CPU_S"] = "many"
    layers.flags["git.integrate"] = "marge"

    problems = layers.problems(
        "exection: {}\n"
        "verify:\n"
        "  where: claen\n"
        "  test: make test\n"
        "workflows:\n"
        "  default: [{agent: claud}]\n"
        "models: {big: {}}\n"
    )

    assert problems == (
        ".orchestrator/workflow.local.yaml:2:1: is not YAML: did not find expected node content "
        "while parsing a flow node",
        ".orchestrator/workflow.yaml:1:1: `exection` is not a key; did you mean `execution`?",
        ".orchestrator/workflow.yaml:3:10: `verify.where` must be one of clean, worktree, "
        'not "claen"; did you mean `clean`?',
        '.orchestrator/workflow.yaml:4:9: `verify.test` must be a list, not "make test"',
        ".orchestrator/workflow.yaml:6:21: there is no agent `claud`; did you mean `claude`?",
        ".orchestrator/workflow.yaml:7:15: `models.big` needs `name`",
        ".orchestrator/workflow.yaml:7:15: `models.big` needs `provider`",
        f'{user}:1:24: `execution.timeout_s` must be a number, not "soon"',
        'ORCHESTRATOR_LIMITS__CPU_S: `limits.cpu_s` must be a whole number, not "many"',
        "command line: `git.integrate` must be one of none, branch, merge, "
        'not "marge"; did you mean `merge`?',
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("timeout_s: 3", ":1:1: `timeout_s` is not a key; did you mean `execution.timeout_s`?"),
        ("required_version: x", ":1:1: `required_version` is not a key; did you mean `required-version`?"),
        ("zzz: 3", ":1:1: `zzz` is not a key; here are possible: version, required-version, models"),
        ("- a", ":1:1: the file must be a mapping of keys to values"),
        ("version: 2", ":1:10: `version` must be 1, not 2: this version of orchestrator reads no other"),
        ("required-version: 0.1", ":1:19: `required-version` must be text"),
        ("required-version: x", ":1:19: `required-version` is no version range: x"),
        ("agents: {x: {}}", ":1:13: `agents.x` needs `kind`, one of: command, acp, llm, claude"),
        ("agents: {x: }", ":1:13: `agents.x` needs `kind`"),
        ("agents: {x: {kind: comand}}", "`agents.x.kind` is not right: there is no kind 'comand'"),
        ("agents: {x: {kind: comand}}", "did you mean `command`?"),
        ("agents: {x: {kind: llm, model: big}}", ":1:32: there is no `big` in `models`"),
        ("agents: {x: {kind: llm, args: [a]}}", "`args` are words of a command line"),
        ("agents: {llm: {command: [a]}}", "belong to kind command; `llm` brings its own"),
        ("agents: {x: {kind: llm, state: shared}}", "`state` belongs to presets"),
        ("workflows: {w: [{agent: llm, model: big}]}", "there is no `big` in `models`"),
        ("models: {m: {provider: openai}}", ":1:13: `models.m` needs `name`"),
        (
            "models: {m: {provider: openai, name: x, temperature: 3}}",
            "`models.m.temperature` must be at most 2",
        ),
        ("models: {m: {provider: openai, name: x, capabilities: [fly]}}", "must be one of chat, tools"),
        ("tools: {t: {description: d}}", ":1:12: `tools.t` needs `run`"),
        ("tools: {run: {run: [x]}}", "`tools.run` is a tool of ours: only `permission` can be set"),
        ("agents: {claude: {max_parallel: 0}}", "`agents.claude.max_parallel` must be at least 1"),
        ("agents: {x: {kind: command}}", "an agent of kind command needs `command`, a list of words"),
        ("agents: {x: {kind: command, command: []}}", ":1:38: `agents.x.command` must not be empty"),
        ("agents: {x: {kind: command, command: ['']}}", "names the program and cannot be empty"),
        ("agents: {x: {kind: command, command: [a], model: b}}", "`model` means nothing to an agent of kind"),
        ("agents: {claude: {command: [a]}}", "`command` and `stdin` belong to kind command"),
        ("agents: {claude: {stdin: prompt}}", "`command` and `stdin` belong to kind command"),
        ("agents: {'a b': {kind: claude}}", ":1:10: `a b` cannot be a name here: up to 64 letters"),
        ("agents: {claude: {env: {1A: x}}}", ":1:25: `1A` cannot be a name here: letters, digits and _"),
        ("agents: {claude: {env: {A: 1}}}", ":1:28: `agents.claude.env.A` must be text"),
        ("agents: {claude: {env: {ORCHESTRATOR_RUN: x}}}", "ORCHESTRATOR_RUN is set by orchestrator itself"),
        ('agents: {claude: {env: {A: "a\\0b"}}}', "it holds a NUL character"),
        ("agents: {claude: {timeout_s: 0}}", "`agents.claude.timeout_s` must be more than 0"),
        (
            "agents: {claude: {sandbox: auto}}",
            ":1:19: `agents.claude.sandbox` is not available in this version",
        ),
        (
            "{agents: {x: {kind: command, command: [a]}}, workflows: {w: [{agent: x, model: m}]}}",
            ":1:80: `model` means nothing to agent `x`, which is of kind command",
        ),
        ("workflows: {w: []}", ":1:16: `workflows.w.steps` must not be empty"),
        ("workflows: {w: }", ":1:16: `workflows.w` must be a mapping, not nothing"),
        ("workflows: {w: {max_iterations: 0, steps: [{}]}}", "`workflows.w.max_iterations`"),
        ("workflows: {w: [{parallel: [{}]}]}", "`workflows.w.steps.0.parallel` is not available"),
        (
            "workflows: {w: [{agnet: claude}]}",
            "`workflows.w.steps.0.agnet` is not a key; did you mean `agent`?",
        ),
        ("workflows: {w: [{task: ''}]}", "must not be empty"),
        (f"workflows: {{w: [{{task: {'x' * 101}}}]}}", "must be at most 100 characters long"),
        ("workflows: {w: [{optional: 1}]}", "must be true or false, not 1"),
        ("workflows: {w: [3]}", ":1:17: `workflows.w.steps.0` must be a mapping, not 3"),
        ("verify: {test: [make]}", '`verify.test.0` must be a mapping, not "make"'),
        ("verify: {test: [{run: [a], report: junit}]}", "`report` needs `{report}` in `run`"),
        ("verify: {test: [['']]}", "names the program and cannot be empty"),
        ("verify: {lint: [{parse: ruff}]}", ":1:17: `verify.lint.0` needs `run`"),
        ("worktrees: {bring: [../x]}", ":1:12: `worktrees` is not right: "),
        ("worktrees: {bring: [/etc/passwd]}", "leads out of the tree"),
        ("worktrees: {bring: ['.git/config']}", "leads out of the tree or into its .git"),
        ("worktrees: {checkpoint_include: ['a/../../b']}", "leads out of the tree"),
        ("worktrees: {root: ''}", "`worktrees.root` must not be empty"),
        ("execution: {max_retries: 101}", "`execution.max_retries` must be at most 100"),
        ("execution: {max_retries: 1.5}", "must be a whole number, not 1.5"),
        ("execution: {timeout_s: '3'}", 'must be a number, not "3"'),
        ("execution: {timeout_s: }", "must be a number, not nothing"),
        ("execution: {max_parallel: 3}", ":1:13: `execution.max_parallel` is not available in this version"),
        ("limits: [1]", ":1:9: `limits` must be a mapping, not a list"),
        ("limits: {cpu_s: {}}", "must be a whole number, not a mapping"),
        ("retrieval: {store: x}", "`retrieval.store` is not available in this version"),
        ("budget: {max_cots: 1}", "`budget.max_cots` is not a key"),
        ("secrets: {mode: shared}", "`secrets.mode` must be one of local, committed"),
        ("secrets: {providers: [{run: [op]}]}", "`run` needs `{name}`, or `names` the secrets"),
        ("secrets: {providers: [{run: ['', '{name}']}]}", "names the program and cannot be empty"),
        (
            "secrets: {providers: [{run: [op, '{name}'], variables: [ORCHESTRATOR_AGE_KEY]}]}",
            "variables of orchestrator itself are given to no command",
        ),
        (
            "agents: {claude: {secrets: [lower]}}",
            '`agents.claude.secrets.0` cannot be "lower": use up to 64 of A-Z',
        ),
        ("workflows: {w: [{secrets: [../X]}]}", "`workflows.w.steps.0.secrets.0`"),
        ("approve: diff", ":1:1: `approve` is not available in this version"),
        ("web_mode: sometimes", "`web_mode`"),
        ("web: {prune: 3}", "`web.prune`"),
        ("include: [{path: x}]", "`include` is not available"),
        ("roles: {planner: nobody}", "there is no agent `nobody`"),
        ("roles: {reviewer: cladue}", "there is no agent `cladue`; did you mean `claude`?"),
        ("tools: {t: {run: [x]}}", ":1:12: `tools.t` needs `description`"),
        ('agents: {"\\e[31m\\u202e": {kind: claude}}', "`\\x1b[31m\\u202e` cannot be a name here"),
    ],
)
def test_each_mistake_is_said_at_its_place(layers: Layers, text: str, problem: str) -> None:
    problems = layers.problems(text)

    assert len(problems) == 1
    assert problem in problems[0]


def test_sections_with_nothing_in_them_say_nothing(layers: Layers) -> None:
    layers.write("user", "verify: {test: [[make]]}\nlimits: {cpu_s: 3}\n")

    loaded = layers.load(
        "agents:\nworkflows:\nverify:\n  test:\nlimits:\n  # cpu_s: 1\nworktrees: {bring: }\n"
    )

    assert loaded.config.verify.test[0].run == ("make",)
    assert loaded.config.limits.cpu_s == 3


def test_null_takes_back_what_an_earlier_layer_says(layers: Layers) -> None:
    layers.write("user", "thresholds: {max_medium: 3}\n")

    assert layers.load("thresholds: {max_medium: null}\n").config.thresholds.max_medium is None


def test_presets_need_no_kind_and_no_value(layers: Layers) -> None:
    agents = layers.load("agents: {claude: , codex: {model: m}, fast: {kind: claude}}").config.agents

    assert [(name, agent.kind) for name, agent in agents.items()] == [
        ("claude", "claude"),
        ("codex", "codex"),
        ("fast", "claude"),
    ]


def test_a_hundred_thousand_mistakes_are_cut_short(layers: Layers) -> None:
    problems = layers.problems("".join(f"zz{number}: 1\n" for number in range(50_000)))

    assert len(problems) == 101
    assert problems[-1] == "further problems are not shown"


def test_a_newer_file_is_refused_for_its_version_before_anything_else(layers: Layers) -> None:
    with pytest.raises(Refused) as caught:
        layers.load("version: 7\nfuture: [\nrequired-version: '>=99'  # yes\n")

    assert caught.value.code == "required-version"
    assert caught.value.message.startswith(
        ".orchestrator/workflow.yaml:3 requires orchestrator >=99; this is "
    )
    assert "orchestrator>=99" in caught.value.hint
    assert caught.value.exit_status == 2


def test_the_version_of_every_layer_must_fit(layers: Layers) -> None:
    layers.write("system", "{required-version: '<0.0.1'}")

    with pytest.raises(Refused, match=r"system\.yaml:1 requires"):
        layers.load("required-version: '>=0.1'\n")


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/u/.local/share/uv/tools/orchestrator", "uv tool install 'orchestrator>=9'"),
        ("/home/u/.local/pipx/venvs/orchestrator", "pipx install --force 'orchestrator>=9'"),
        ("C:\\Users\\u\\pipx\\venvs\\x", "pipx install --force 'orchestrator>=9'"),
        ("/repo/.venv", "/repo/.venv/bin/python -m pip install 'orchestrator>=9'"),
    ],
)
def test_the_hint_names_the_tool_that_installed_it(prefix: str, command: str) -> None:
    assert version_pin.install_command(">=9", prefix, "/repo/.venv/bin/python") == command


def test_a_version_cannot_smuggle_a_command_into_the_hint(layers: Layers) -> None:
    with pytest.raises(Refused) as caught:
        layers.load("required-version: '===1`x`'\n")

    assert "'orchestrator===1`x`'" in caught.value.hint


def test_the_file_in_the_root_is_read_with_a_hint_when_ours_is_absent(layers: Layers) -> None:
    layers.write("root", "limits: {cpu_s: 3}\n")

    loaded = layers.load()

    assert loaded.config.limits.cpu_s == 3
    assert loaded.origin("limits.cpu_s").place == "workflow.yaml:1"
    assert "git mv workflow.yaml .orchestrator/workflow.yaml" in loaded.hints[0]
    assert loaded.workflow_yaml == b"limits: {cpu_s: 3}\n"


def test_the_file_in_the_root_is_not_read_beside_ours(layers: Layers) -> None:
    layers.write("root", "of: another tool\n")

    assert layers.load("limits: {cpu_s: 1}\n").hints == ()


def test_a_file_of_another_tool_in_the_root_is_told_apart(layers: Layers) -> None:
    layers.write("root", "phases: []\n")

    with pytest.raises(ConfigInvalid) as caught:
        layers.load()

    assert "orchestrator init" in caught.value.hint


def test_a_linked_worktree_has_its_own_file_or_that_of_the_main_one(layers: Layers, tmp_path: Path) -> None:
    layers.write("repository", "limits: {cpu_s: 1}\n")
    layers.write("local", "limits: {processes: 9}\n")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "workflow.yaml").write_text("of: another tool\n")

    def limits() -> tuple[int | None, int | None]:
        loaded = load(
            repository=linked,
            state_root=tmp_path / "repo",
            environment={},
            system_file=tmp_path / "none",
            user_file=tmp_path / "none",
        )
        return loaded.config.limits.cpu_s, loaded.config.limits.processes

    assert limits() == (1, 9)
    (linked / ".orchestrator").mkdir()
    (linked / ".orchestrator" / "workflow.yaml").write_text("limits: {cpu_s: 2}\n")
    (linked / ".orchestrator" / "workflow.local.yaml").write_text("limits: {processes: 8}\n")
    assert limits() == (2, 8)


def test_without_a_repository_only_the_users_layers_count(layers: Layers, tmp_path: Path) -> None:
    layers.write("repository", "limits: {cpu_s: 1}\n")
    user = layers.write("user", "limits: {processes: 2}\n")

    loaded = load(
        repository=None,
        state_root=tmp_path / "repo",
        environment={},
        system_file=user,
        user_file=tmp_path / "none",
    )

    assert (loaded.config.limits.cpu_s, loaded.config.limits.processes) == (None, 2)


def test_the_users_file_is_found_in_the_users_directory(home: Path, tmp_path: Path) -> None:
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_text("limits: {cpu_s: 7}\n")

    loaded = load(repository=None, state_root=tmp_path, environment={})

    assert user_config_file().is_relative_to(home)
    assert not system_config_file().is_relative_to(home)
    assert loaded.config.limits.cpu_s == 7


@pytest.mark.skipif(os.name != "posix", reason="links and special files of POSIX")
def test_files_that_are_no_plain_files_are_refused_at_once(layers: Layers, tmp_path: Path) -> None:
    path = layers.directory / "workflow.yaml"
    outside = tmp_path / "outside.yaml"
    outside.write_text("limits: {cpu_s: 1}\n")

    path.mkdir()
    assert "is not a regular file" in layers.problems()[0]
    path.rmdir()
    os.mkfifo(path)
    assert "is not a regular file" in layers.problems()[0]
    path.unlink()
    path.symlink_to(outside)
    assert layers.problems() == (".orchestrator/workflow.yaml:1:1: leads out of the repository",)
    path.unlink()
    path.symlink_to("nowhere")
    assert "is a link that leads nowhere" in layers.problems()[0]
    path.unlink()
    path.symlink_to("workflow.yaml")
    assert "cannot be read" in layers.problems()[0]
    path.unlink()
    path.symlink_to("../real.yaml")
    (layers.root / "repo" / "real.yaml").write_text("limits: {cpu_s: 5}\n")
    assert layers.load().config.limits.cpu_s == 5


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(layers: Layers) -> None:
    layers.write("repository", "").chmod(0)

    assert layers.problems() == (".orchestrator/workflow.yaml:1:1: cannot be read: Permission denied",)


def test_a_directory_that_is_a_file_is_like_an_absent_one(layers: Layers) -> None:
    layers.directory.rmdir()
    layers.directory.write_text("")

    assert layers.load().config == Config()


def test_a_huge_file_is_read_no_further_than_the_limit(layers: Layers) -> None:
    with open(layers.directory / "workflow.yaml", "wb") as file:
        file.truncate(1 << 40)

    assert "is larger than 1,048,576 bytes" in layers.problems()[0]


def test_the_digest_follows_the_values_and_nothing_else(layers: Layers) -> None:
    first = layers.load("limits: {cpu_s: 1}\n").digest

    assert layers.load("# said otherwise\nlimits:\n  cpu_s: 0x1\n").digest == first
    assert layers.load("limits: {cpu_s: 2}\n").digest != first


def test_a_configuration_cannot_be_changed(layers: Layers) -> None:
    config = layers.load().config

    with pytest.raises(ValueError, match="frozen"):
        config.limits.cpu_s = 3  # type: ignore[misc]


KEYS = st.sampled_from(
    [
        *(each.path[-1] for each in declared()),
        "kind",
        "claude",
        "default",
        "x",
        "",
        "a.b",
        "<name>",
        "0",
        "\x85",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["claude", "command", "never", "auto", "1", "", "{report}", "git.integrate", "\x00", "../x"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@given(user=st.dictionaries(KEYS, VALUES, max_size=5), repository=st.dictionaries(KEYS, VALUES, max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_files_hold_ends_in_a_configuration_or_in_named_problems(
    tmp_path_factory: pytest.TempPathFactory, user: dict[str, Json], repository: dict[str, Json]
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "user.yaml").write_text(json.dumps(user))
    (root / "workflow.yaml").write_text(json.dumps(repository))

    loaded = loaded_or_refused(root)

    if isinstance(loaded, ConfigInvalid):
        assert loaded.problems
        assert all(problem.isprintable() and len(problem) < 2000 for problem in loaded.problems)
    elif isinstance(loaded, Refused):
        assert loaded.code == "required-version"
    else:
        assert thaw(freeze(loaded.config)) == loaded.config
        assert all(row.key for row in show(loaded))
        assert all(describe(command).isprintable() for command in repository_commands(loaded))


def loaded_or_refused(root: Path) -> LoadedConfig | Refused:
    user = root / "user.yaml"
    try:
        return load(
            repository=root, state_root=root, environment={}, system_file=root / "none", user_file=user
        )
    except Refused as error:
        return error
