"""What kind of machine the variables describe, and what follows; only ever from variables named here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.paths import is_session_id
from orchestrator.sessions.environment import WebMode, boot_key, detect
from orchestrator.sessions.identity import Here, _new_id

CODESPACE = {
    "CODESPACES": "true",
    "CODESPACE_NAME": "cool-x1",
    "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "app.github.dev",
}


@pytest.mark.parametrize(
    ("variables", "name", "instance", "lasts"),
    [
        ({}, "machine", "", True),
        ({"CI": ""}, "machine", "", True),
        ({"CI": "false"}, "machine", "", True),
        ({"CODESPACES": "0"}, "machine", "", True),
        (CODESPACE, "codespace", "cool-x1", False),
        (
            {"CLAUDE_CODE_REMOTE": "true", "CLAUDE_CODE_REMOTE_SESSION_ID": "cse_1"},
            "claude-web",
            "cse_1",
            False,
        ),
        ({"GITPOD_ENVIRONMENT_ID": "e"}, "ona", "e", False),
        ({"GITPOD_WORKSPACE_ID": "w"}, "gitpod", "w", False),
        (
            {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_JOB": "t"},
            "github-actions",
            "7-t",
            False,
        ),
        ({"CI": "true", "GITLAB_CI": "true", "CI_JOB_ID": "9"}, "gitlab-ci", "9", False),
        ({"JENKINS_URL": "http://x/", "BUILD_TAG": "jenkins-a-1"}, "jenkins", "jenkins-a-1", False),
        ({"CI": "1"}, "ci", "", False),
        ({"REMOTE_CONTAINERS": "true"}, "dev-container", "", True),
        ({"DEVPOD": "true"}, "devpod", "", True),
        ({"CODER_WORKSPACE_NAME": "mine"}, "coder", "mine", True),
    ],
)
def test_each_environment_is_known_by_its_own_variables(
    variables: dict[str, str], name: str, instance: str, lasts: bool
) -> None:
    found = detect(variables)

    assert (found.name, found.instance, found.lasts) == (name, instance, lasts)
    assert bool(found.evidence) is (name != "machine")


def test_only_a_codespace_with_a_domain_has_links() -> None:
    assert detect(CODESPACE).link(8080) == "https://cool-x1-8080.app.github.dev"
    long = {**CODESPACE, "CODESPACE_NAME": "a-person-literate-space-parakeet-7gwrqp9q9jcx4vq"}
    assert detect(long).link(80) == f"https://{long['CODESPACE_NAME']}-80.app.github.dev"
    assert detect({"CODESPACES": "true"}).link(8080) == ""
    assert detect({}).link(8080) == ""


@given(
    st.dictionaries(st.sampled_from(["CODESPACES", "CODESPACE_NAME", "CI_JOB_ID", "GITLAB_CI"]), st.text())
)
def test_no_variable_can_make_an_id_or_a_key_that_escapes(variables: dict[str, str]) -> None:
    environment = detect(variables)
    boot = boot_key(environment, "", 'no"de\n')

    assert is_session_id(_new_id(Here(environment, boot, (1, 2))))
    assert '"' not in boot
    assert "\n" not in boot
    assert boot.isascii()


@pytest.mark.parametrize(
    ("variables", "mode", "on"),
    [
        (CODESPACE, "auto", True),
        (CODESPACE, False, False),
        ({}, "auto", False),
        ({}, True, True),
        ({"REMOTE_CONTAINERS": "true"}, "auto", False),
    ],
)
def test_web_mode_follows_the_environment_unless_it_is_said(
    variables: dict[str, str], mode: bool | str, on: bool
) -> None:
    web = WebMode(detect(variables), mode)

    assert web.on is on
    assert {web.sessions, web.no_input, web.no_keyring, web.links, web.trailers, web.prune} == {on}
    assert bool(web.consequences()) is on


@pytest.mark.parametrize("part", ["sessions", "no_input", "no_keyring", "links", "trailers", "prune"])
def test_each_consequence_can_be_set_by_itself(part: str) -> None:
    off = WebMode(detect(CODESPACE), "auto", {part: False})
    on = WebMode(detect({}), "auto", {part: True})

    others = {"sessions", "no_input", "no_keyring", "links", "trailers", "prune"} - {part}
    assert getattr(off, part) is False
    assert all(getattr(off, other) for other in others)
    assert getattr(on, part) is True
    assert not any(getattr(on, other) for other in others)


def test_what_was_detected_is_said_in_one_line() -> None:
    said = WebMode(detect(CODESPACE), "auto", {"no_input": False}).sentence()

    assert said == (
        "GitHub Codespaces (CODESPACES), web_mode: auto: each session keeps a state of its own; "
        "the keyring is left alone; links go to the forwarding domain; commits name their session; "
        "room is made when a run ends"
    )
    assert not WebMode(detect({}), "auto").differs
    assert WebMode(detect(CODESPACE), False).sentence().endswith("web_mode: false: nothing follows from it")
