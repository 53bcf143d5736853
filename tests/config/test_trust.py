"""What needs trust, when it is asked again, and how approvals are kept."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config.trust import (
    RunnableCommand,
    TrustStore,
    describe,
    difference,
    repository_commands,
    trust_key,
    user_trust_directory,
)
from orchestrator.config.trust import commands as all_commands
from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs import effects
from tests.config.conftest import Layers

MAKE = RunnableCommand("verify.test.0", ("make", "test"))
RUFF = RunnableCommand("verify.lint.0", ("ruff", "check", "."))
posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def key_for(layers: Layers, text: str = "", **others: object) -> str:
    loaded = layers.load(text)
    return trust_key(
        loaded,
        checkout_real_path=str(others.get("path", "/repo")),
        git_dir_identity=(1, int(str(others.get("inode", 2)))),
        local_filters=tuple(str(others["filter"]).split()) if "filter" in others else (),
        detected=(MAKE,) if "detected" in others else (),
    )


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "state" / "trust")


FULL = """\
agents:
  fixer: {kind: command, command: [fix, a b], args: [--x], env: {B: c, A: "1"}, stdin: prompt, secrets: [KEY]}
  claude: {model: opus}
workflows: {default: [{agent: claude, task: review, prompt: "Do\\nit", description: why, model: m},
  {secrets: [A, B]}]}
worktrees: {setup: [[pip, install]], bring: [.env], root: /tmp/trees}
verify: {build: [[make]], custom: [[./x.sh]]}
git: {integrate: merge}
secrets: {providers: [{run: [op, "op://{name}"], variables: [TOKEN]}, {run: [gh], names: [GH_TOKEN]}]}
"""


def test_everything_that_would_run_is_listed_in_words(layers: Layers) -> None:
    loaded = layers.load(FULL)

    assert [describe(command) for command in repository_commands(loaded)] == [
        "agents.fixer: fix 'a b' --x, with A=1, with B=c, the prompt on standard input, "
        "given the secrets KEY",
        "agents.claude: claude, model opus",
        "workflows.default.steps.0: agent claude, task review, model m, told: why, prompt: Do\\nit",
        "workflows.default.steps.1: agent first one found, task implement, given the secrets A B",
        "worktrees.setup.0: pip install",
        "worktrees.bring: copies your ignored files .env into the agents' trees",
        "worktrees.root: writes the agents' trees into /tmp/trees",
        "verify.build.0: make",
        "verify.custom.0: ./x.sh",
        "git.integrate: merges results into your branch",
        "secrets.providers.0: op 'op://{name}', asked for any secret, given your variables TOKEN",
        "secrets.providers.1: gh, asked for GH_TOKEN",
    ]


def test_how_an_agent_is_led_is_said_before_it_is_approved(layers: Layers) -> None:
    loaded = layers.load(
        "agents: {goose: {kind: acp, command: [goose, acp], mode: auto}, claude: {kind: claude, via: acp}}\n"
    )

    assert [describe(command) for command in repository_commands(loaded)] == [
        "agents.goose: goose acp, led over ACP, mode auto",
        "agents.claude: claude, led over ACP",
    ]


def test_what_the_user_supplies_needs_no_trust(layers: Layers) -> None:
    layers.write("user", FULL)
    layers.flags["verify.lint"] = [{"run": ["typed"]}]
    layers.environment["ORCHESTRATOR_VERIFY__SECURITY"] = "[[named]]"

    loaded = layers.load("limits: {cpu_s: 3}\nverify: {test: [[theirs]]}\n")

    assert [command.argv for command in repository_commands(loaded)] == [("theirs",)]
    assert len(all_commands(loaded.config)) == 15


def test_a_part_from_the_repository_makes_the_users_agent_a_matter_of_trust(layers: Layers) -> None:
    layers.write("user", "agents: {mine: {kind: command, command: [mine]}, other: {kind: claude}}\n")
    layers.write("local", "agents: {mine: {env: {LD_PRELOAD: ./evil.so}}}\n")

    commands = repository_commands(layers.load())

    assert [describe(command) for command in commands] == ["agents.mine: mine, with LD_PRELOAD=./evil.so"]


def test_an_empty_repository_configuration_supplies_nothing(layers: Layers) -> None:
    assert repository_commands(layers.load("thresholds: {max_major: 3}\n")) == ()


@pytest.mark.parametrize(
    "text",
    [
        "verify: {test: [[make, tesT]]}",
        "verify: {test: [[make, test], [x]]}",
        "verify: {test: [[make, test]]}\nagents: {claude: {env: {A: b}}}",
        "verify: {test: [[make, test]]}\nworkflows: {default: [{prompt: x}]}",
        "verify: {test: [[make, test]]}\nworktrees: {bring: [.env]}",
        "verify: {test: [[make, test]], where: worktree}",
        "",
    ],
)
def test_changing_what_runs_asks_again(layers: Layers, text: str) -> None:
    assert key_for(layers, text) != key_for(layers, "verify: {test: [[make, test]]}")


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\nverify:\n  test:\n    - [make, test]\n",
        "verify: {test: [{run: [make, test]}]}",
        "version: 1\nverify: {test: [[make, test]]}\nthresholds: {max_major: 9}\nlogging: {level: debug}",
    ],
)
def test_changing_anything_else_does_not(layers: Layers, text: str) -> None:
    assert key_for(layers, text) == key_for(layers, "verify: {test: [[make, test]]}")


def test_flags_variables_and_the_users_files_do_not_change_the_key(layers: Layers) -> None:
    before = key_for(layers, "verify: {test: [[make]]}")

    layers.write("user", "agents: {claude: {model: x}}\nenforced: [verify.test]\n")
    layers.environment["ORCHESTRATOR_EXECUTION__TIMEOUT_S"] = "5"
    layers.flags["git.integrate"] = "merge"

    assert key_for(layers, "verify: {test: [[make]]}") == before


def test_place_filters_and_detected_checks_change_the_key(layers: Layers) -> None:
    variants: list[dict[str, object]] = [
        {},
        {"path": "/copy"},
        {"inode": 3},
        {"filter": "lfs"},
        {"filter": "lfs x"},
        {"detected": 1},
    ]

    keys = {key_for(layers, "", **variant) for variant in variants}

    assert len(keys) == len(variants)
    assert key_for(layers, "", filter="x lfs") == key_for(layers, "", filter="lfs x")


def test_the_local_file_counts_because_a_repository_can_ship_one(layers: Layers) -> None:
    before = key_for(layers)
    layers.write("local", "verify: {test: [[evil]]}\n")

    assert key_for(layers) != before
    assert repository_commands(layers.load())[0].argv == ("evil",)


def test_nothing_shown_can_deceive_on_a_terminal() -> None:
    shown = describe(RunnableCommand("x\x1b[2J", ("a\rmake", "\u202egnp.exe", "b\nc"), ("\x07",)))

    assert shown.isprintable()
    assert "\\r" in shown
    assert "\\u202e" in shown


def test_the_difference_names_what_went_and_what_came() -> None:
    moved = RunnableCommand("verify.test.0", ("make", "check"))

    assert difference([MAKE, RUFF], [moved, RUFF]) == (
        "- verify.test.0: make test",
        "+ verify.test.0: make check",
    )
    assert difference([MAKE], [MAKE]) == ()
    assert difference([], [MAKE]) == ("+ verify.test.0: make test",)


def test_an_approval_holds_for_its_key_and_no_other(layers: Layers, store: TrustStore) -> None:
    key, other = key_for(layers, "verify: {test: [[a]]}"), key_for(layers, "verify: {test: [[b]]}")

    assert not store.is_trusted(key)
    store.approve(key, [MAKE, RUFF])

    assert store.is_trusted(key)
    assert not store.is_trusted(other)
    shown = store.shown(key)
    assert shown is not None
    assert shown.commands == (MAKE, RUFF)


def test_the_approval_before_a_change_is_found_to_show_the_difference(
    layers: Layers, store: TrustStore
) -> None:
    first, second = key_for(layers, "verify: {test: [[a]]}"), key_for(layers, "verify: {test: [[b]]}")
    third = key_for(layers, "verify: {test: [[c]]}")
    elsewhere = key_for(layers, "verify: {test: [[a]]}", path="/other")
    assert store.previous(third) is None

    store.approve(first, [MAKE])
    store.approve(second, [RUFF])
    store.approve(elsewhere, [MAKE, RUFF])

    previous = store.previous(third)
    assert previous is not None
    assert previous.key == second


def test_revoking_takes_back_every_approval_of_the_checkout(layers: Layers, store: TrustStore) -> None:
    first, second = key_for(layers, "verify: {test: [[a]]}"), key_for(layers, "verify: {test: [[b]]}")
    elsewhere = key_for(layers, "verify: {test: [[a]]}", path="/other")
    for key in (first, second, elsewhere):
        store.approve(key, [MAKE])

    assert store.revoke(first) == 2

    assert [store.is_trusted(key) for key in (first, second, elsewhere)] == [False, False, True]
    assert store.revoke(first) == 0


@posix
def test_approvals_are_private_files_in_a_private_directory(
    layers: Layers, store: TrustStore, tmp_path: Path
) -> None:
    store.approve(key_for(layers), [MAKE])

    directory = tmp_path / "state" / "trust"
    (file,) = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@posix
def test_a_directory_that_others_can_write_is_not_believed(
    layers: Layers, store: TrustStore, tmp_path: Path
) -> None:
    key = key_for(layers)
    store.approve(key, [MAKE])
    (tmp_path / "state" / "trust").chmod(0o777)

    for ask in (store.is_trusted, store.shown, store.previous):
        if ask == store.previous:
            key = key[:17] + "0" * 64
        with pytest.raises(Refused) as caught:
            ask(key)
        assert caught.value.code == "trust-store-unsafe"
    with pytest.raises(Refused):
        store.approve(key, [MAKE])


@posix
def test_links_and_foreign_files_are_no_approval(layers: Layers, store: TrustStore, tmp_path: Path) -> None:
    key = key_for(layers)
    store.approve(key, [MAKE])
    file = tmp_path / "state" / "trust" / f"{key}.json"
    moved = tmp_path / "approval.json"
    file.rename(moved)

    file.symlink_to(moved)
    assert not store.is_trusted(key)
    file.unlink()
    os.mkfifo(file)
    assert not store.is_trusted(key)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"key": "x"},
        {"approved_at": "2026-01-01T00:00:00"},
        {"approved_at": 3},
        {"commands": [{"where": 1, "argv": [], "notes": []}]},
        {"commands": [3]},
        {"commands": None},
    ],
)
def test_a_changed_record_is_no_approval(
    layers: Layers, store: TrustStore, tmp_path: Path, change: dict[str, object]
) -> None:
    key = key_for(layers)
    store.approve(key, [MAKE])
    file = tmp_path / "state" / "trust" / f"{key}.json"

    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))

    assert not store.is_trusted(key)


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000])
def test_a_damaged_record_is_no_approval(
    layers: Layers, store: TrustStore, tmp_path: Path, damage: bytes
) -> None:
    key = key_for(layers)
    store.approve(key, [MAKE])

    (tmp_path / "state" / "trust" / f"{key}.json").write_bytes(damage)

    assert not store.is_trusted(key)


def test_a_key_cannot_name_another_file(store: TrustStore) -> None:
    assert not store.is_trusted("../../etc/passwd")
    with pytest.raises(ValueError, match="no trust key"):
        store.approve("../x", [MAKE])


def test_a_failure_at_any_effect_of_approving_leaves_it_given_or_not_given(
    layers: Layers, tmp_path: Path
) -> None:
    class PowerCut(BaseException):
        pass

    key = key_for(layers)
    ended = False
    attempt = 0
    while not ended:
        attempt += 1
        store = TrustStore(tmp_path / str(attempt) / "trust")
        left = attempt

        def cut(effect: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise PowerCut

        with effects.observe(cut):
            try:
                store.approve(key, [MAKE])
                ended = True
            except PowerCut:
                found = store.shown(key)
                assert found is None or found.commands == (MAKE,)
        store.approve(key, [MAKE])
        assert store.is_trusted(key)
    assert attempt > 2


@posix
def test_a_place_that_cannot_be_written_is_said_and_approves_nothing(layers: Layers, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    store = TrustStore(tmp_path / "state" / "trust")
    key = key_for(layers)

    with pytest.raises((DiskFailed, Refused)):
        store.approve(key, [MAKE])
    assert not store.is_trusted(key)


def test_processes_side_by_side_keep_every_approval(layers: Layers, tmp_path: Path) -> None:
    keys = [key_for(layers, f"verify: {{test: [[t{number}]]}}") for number in range(4)]
    script = (
        "import sys; from pathlib import Path\n"
        "from orchestrator.config.trust import RunnableCommand, TrustStore\n"
        "store = TrustStore(Path(sys.argv[1]))\n"
        "for key in sys.argv[2:]: store.approve(key, [RunnableCommand('w', (key,))])\n"
    )
    directory = tmp_path / "trust"

    running = [
        subprocess.Popen([sys.executable, "-c", script, str(directory), *keys[number:], *keys[:number]])
        for number in range(4)
    ]

    assert [process.wait() for process in running] == [0, 0, 0, 0]
    store = TrustStore(directory)
    assert all(store.is_trusted(key) for key in keys)
    assert sorted(path.name for path in directory.iterdir()) == sorted(f"{key}.json" for key in keys)


def test_approvals_lie_in_the_users_own_directory(home: Path) -> None:
    assert user_trust_directory().is_relative_to(home)


def test_looking_at_trust_loads_neither_pydantic_nor_yaml() -> None:
    script = (
        "import sys, orchestrator.config.trust\n"
        "print([name for name in ('pydantic', 'yaml', 'platformdirs') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
