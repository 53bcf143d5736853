"""Secrets in the configuration are known, and kept nowhere."""

from __future__ import annotations

import json

import pytest

from orchestrator.config.frozen import freeze, thaw
from orchestrator.config.schema import Agent, Check, Config, Verify
from orchestrator.config.trust import commands, describe
from orchestrator.config.withheld import is_secret, literal_secrets, make_known, yaml_without_secrets
from orchestrator.errors import CredentialMissing
from orchestrator.redaction.redactor import Redactor

KEY = "ghp_" + "a1B2" * 9


def _config(**env: str) -> Config:
    return Config(agents={"fixer": Agent(kind="command", command=("fix",), env=env)})


@pytest.mark.parametrize(
    ("variable", "value", "secret"),
    [
        ("API_KEY", "x", True),
        ("github_token", "abc", True),
        ("MY_SECRET_PATH", "/x", True),
        ("DB_PASSWORD", "hunter2", True),
        ("CREDENTIALS", "a:b", True),
        ("ANYTHING", KEY, True),
        ("API_KEY", "", False),
        ("LANG", "C.UTF-8", False),
    ],
)
def test_a_variable_is_secret_by_its_name_or_by_the_shape_of_its_value(
    variable: str, value: str, secret: bool
) -> None:
    assert is_secret(variable, value) is secret


def test_secrets_come_back_from_the_present_configuration_only() -> None:
    config = _config(API_KEY="short", TOKEN="correct-horse", LANG="C", OTHER="with correct-horse in it")
    redactor = make_known(config, Redactor())

    frozen = freeze(config, redactor)

    assert "short" not in frozen
    assert "correct-horse" not in frozen
    assert thaw(frozen, current=config, redactor=redactor) == config
    assert thaw(frozen).agents["fixer"].env["API_KEY"] == "[redacted:API_KEY]"


def test_a_key_that_was_changed_meanwhile_is_taken_as_it_is_now() -> None:
    frozen = freeze(_config(TOKEN="correct-horse"), make_known(_config(TOKEN="correct-horse"), Redactor()))
    now = _config(TOKEN="battery-staple")

    assert thaw(frozen, current=now).agents["fixer"].env["TOKEN"] == "battery-staple"


def test_a_secret_that_is_gone_is_named() -> None:
    frozen = freeze(_config(TOKEN="correct-horse"), Redactor())

    with pytest.raises(CredentialMissing) as caught:
        thaw(frozen, current=Config())

    assert (caught.value.code, caught.value.exit_status) == ("secret-gone", 4)
    assert "agents.fixer.env.TOKEN" in caught.value.message


def test_only_the_sections_that_are_needed_ask_for_their_secrets() -> None:
    check = Check(run=("curl", "https://me:hunter22@example.invalid/"))
    config = _config(TOKEN="correct-horse").model_copy(update={"verify": Verify(test=(check,))})
    without_agents = Config(verify=config.verify)

    found = thaw(freeze(config, Redactor()), current=without_agents, parts=("verify",))

    assert found.verify.test[0].run == check.run
    assert found.agents["fixer"].env["TOKEN"] == "[redacted:TOKEN]"


def test_another_text_around_a_secret_is_not_taken_for_the_same() -> None:
    before = Config(verify=Verify(test=(Check(run=("curl", "https://me:hunter22@example.invalid/")),)))
    now = Config(verify=Verify(test=(Check(run=("curl", "https://me:hunter22@elsewhere.invalid/")),)))

    with pytest.raises(CredentialMissing, match=r"verify\.test\.0\.run\.1"):
        thaw(freeze(before, Redactor()), current=now)


def test_a_configuration_without_secrets_is_frozen_as_before() -> None:
    assert freeze(_config(LANG="C"), Redactor()) == freeze(_config(LANG="C"))
    assert "withheld" not in json.loads(freeze(_config(LANG="C"), Redactor()))


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("      API_KEY: hunter2\n", "      API_KEY: [redacted:API_KEY]\n"),
        ("env: {API_KEY: 'hunter2', A: hunter2}", "env: {API_KEY: '[redacted:API_KEY]', A: hunter2}"),
        ('"API_KEY": "hunter2"', '"API_KEY": "[redacted:API_KEY]"'),
    ],
)
def test_a_file_is_kept_without_secrets_too_short_to_be_looked_for(line: str, kept: str) -> None:
    config = _config(API_KEY="hunter2")

    assert yaml_without_secrets(line, config, make_known(config, Redactor())) == kept


def test_what_is_shown_and_stored_for_trust_names_a_secret_only() -> None:
    shown = describe(commands(_config(API_KEY="hunter2", LANG="C"))[0])

    assert "API_KEY=[redacted:API_KEY]" in shown
    assert "hunter2" not in shown
    assert "LANG=C" in shown


def test_every_agents_secrets_are_known() -> None:
    config = Config(
        agents={
            "one": Agent(kind="claude", env={"A_KEY": "first"}),
            "two": Agent(kind="codex", env={"B": KEY, "C": "no"}),
        }
    )

    assert list(literal_secrets(config)) == [("A_KEY", "first"), ("B", KEY)]
