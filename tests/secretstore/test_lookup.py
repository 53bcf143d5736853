from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.errors import CredentialMissing, Refused, SecretMissing
from orchestrator.fs.disk import Disk
from orchestrator.secretstore.lookup import Answer, Prompt, Source, look_up
from orchestrator.secretstore.outside import FromCommand, Keyring, Provider, without_line_end
from orchestrator.secretstore.places import global_store, outside_sources, stored_sources
from orchestrator.secretstore.resolving import resolve
from tests.secretstore.conftest import NAME, Bench, stranger

OWN = f"ORCHESTRATOR_SECRET_{NAME}"


def sources(
    bench: Bench, environment: Mapping[str, str], *, overrides: Mapping[str, str] | None = None
) -> tuple[Source, ...]:
    printer = (sys.executable, "-c", "print('from the command')", "{name}")
    return (
        *stored_sources(environment, overrides, (bench.store(), global_store(Disk()))),
        *outside_sources(environment, [(printer, (), ())], web_mode=False, trusted=True),
        Prompt(lambda name: "typed"),
    )


def test_the_places_are_asked_in_their_order_and_the_first_value_wins(bench: Bench) -> None:
    bench.set(value=b"from the repository")
    global_store(Disk()).set(NAME, b"from the user", {})
    environment = {OWN: "from our variable", NAME: "from the native variable"}

    def value() -> str | None:
        return look_up(NAME, sources(bench, environment, overrides=overrides)).value

    overrides = {NAME: "written for the step"}
    found = [value()]
    overrides = {}
    found.append(value())
    for name in (OWN, NAME):
        del environment[name]
        found.append(value())
    bench.store().remove(NAME)
    found.append(value())
    global_store(Disk()).remove(NAME)
    found.append(value())

    assert found == [
        "written for the step",
        "from our variable",
        "from the native variable",
        "from the repository",
        "from the user",
        "from the command",
    ]


def test_every_place_is_named_up_to_the_one_that_has_it(bench: Bench) -> None:
    answer = look_up(NAME, sources(bench, {NAME: "proxy-injected", OWN: " "}, overrides={}))

    assert answer.source is not None
    assert answer.source.startswith(f"command {sys.executable}")
    assert [(each.place.split(" ")[0], each.why_not) for each in answer.seen] == [
        ("`env`", "not there"),
        ("variable", "empty"),
        ("variable", "holds the placeholder proxy-injected"),
        ("repository", "not there"),
        ("global", "not there"),
        ("keyring", "not installed"),
        ("command", ""),
    ]


def test_what_is_written_for_the_step_may_be_a_placeholder() -> None:
    answer = look_up(NAME, stored_sources({}, {NAME: "proxy-injected"}, ()))

    assert answer.value == "proxy-injected"


def test_no_value_is_in_the_words_of_an_answer() -> None:
    answer = look_up(NAME, stored_sources({NAME: "canary-4711"}, {}, ()))

    assert answer.value == "canary-4711"
    assert "canary" not in repr(answer)
    assert "canary" not in repr(stored_sources({NAME: "canary-4711"}, {OWN: "canary-4711"}, ()))


def test_a_secret_that_cannot_be_opened_is_an_error_and_nothing_else_is_taken(bench: Bench) -> None:
    bench.set()
    private, _ = stranger()

    with pytest.raises(CredentialMissing, match="encrypted to other keys"):
        look_up(NAME, sources(bench, {"ORCHESTRATOR_AGE_KEY": private}))


def test_missing_ones_are_named_together_with_every_place(bench: Bench) -> None:
    places = stored_sources({"ONE_KEY": ""}, {}, (bench.store(),))

    with pytest.raises(SecretMissing) as missing:
        resolve(("ONE_KEY", "TWO_KEY"), places, lambda name, value: None)

    assert missing.value.exit_status == 4
    assert missing.value.message == "There is no value for ONE_KEY, TWO_KEY."
    assert "variable ONE_KEY (empty)" in missing.value.problems[0]
    assert str(bench.store().path("TWO_KEY")) in missing.value.problems[1]


def test_whoever_hides_values_hears_of_each_first() -> None:
    heard: list[tuple[str, str]] = []
    places = stored_sources({"ONE_KEY": "one-value"}, {}, ())

    with pytest.raises(SecretMissing):
        resolve(("ONE_KEY", "TWO_KEY"), places, lambda name, value: heard.append((name, value)))

    assert heard == [("ONE_KEY", "one-value")]


def test_a_value_that_no_variable_can_carry_is_refused_before_anything_starts() -> None:
    places = stored_sources({"ONE_KEY": "x" * 131_001}, {}, ())

    with pytest.raises(Refused) as refused:
        resolve(("ONE_KEY",), places, lambda name, value: None)

    assert refused.value.code == "secret-too-long"


@pytest.mark.parametrize("name", ["PATH", "ORCHESTRATOR_AGE_KEY", "lower"])
def test_no_variable_with_a_meaning_of_its_own_is_a_secret(name: str) -> None:
    with pytest.raises(Refused, match="name"):
        resolve((name,), stored_sources(dict(os.environ), {}, ()), lambda name, value: None)


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "manager"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def asked(provider: Provider, environment: Mapping[str, str] | None = None, name: str = NAME) -> Answer:
    return look_up(name, [FromCommand(provider, environment or {})])


def test_a_command_is_asked_by_name_without_a_shell(tmp_path: Path, home: Path) -> None:
    manager = program(tmp_path, "import sys; print('value of', sys.argv[1:])")

    answer = asked(Provider((manager, "op://vault/{name}", "$(id)")))

    assert answer.value == f"value of ['op://vault/{NAME}', '$(id)']"


def test_a_command_gets_a_minimal_environment_and_what_is_named(tmp_path: Path, home: Path) -> None:
    manager = program(tmp_path, "import os; print(sorted(os.environ))")
    mine = {"SESSION_TOKEN": "t", "OTHER_KEY": "o", "ORCHESTRATOR_AGE_KEY": "k"}

    value = asked(Provider((manager, "{name}"), variables=("SESSION_TOKEN",)), mine).value

    assert value is not None
    assert "SESSION_TOKEN" in value
    assert "OTHER_KEY" not in value
    assert "AGE_KEY" not in value


@pytest.mark.parametrize(
    ("text", "why_not"),
    [
        ("import sys; print('half'); sys.exit(3)", "ended with status 3"),
        ("pass", "empty"),
        ("print('proxy-injected')", "holds the placeholder proxy-injected"),
    ],
)
def test_a_command_that_fails_or_says_nothing_has_no_value(
    tmp_path: Path, home: Path, text: str, why_not: str
) -> None:
    answer = asked(Provider((program(tmp_path, text), "{name}")))

    assert (answer.value, answer.seen[0].why_not) == (None, why_not)


def test_a_command_that_is_missing_or_not_meant_or_not_approved_is_passed_over(tmp_path: Path) -> None:
    assert "could not be started" in asked(Provider((str(tmp_path / "none"), "{name}"))).seen[0].why_not
    marker = tmp_path / "ran"
    ran = (sys.executable, "-c", f"open({str(marker)!r}, 'w')", "{name}")
    assert asked(Provider(ran, names=("OTHER_KEY",))).seen[0].why_not == "not for this name"
    untrusted = outside_sources({}, [(ran, (), ())], web_mode=False, trusted=False)
    assert look_up(NAME, untrusted).seen[1].why_not == "not approved: orchestrator trust"
    assert not marker.exists()


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a small real `keyring` package in front of the path, which knows one value."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "keyring.py").write_text(
        "def get_password(service, name):\n"
        "    if name == 'BROKEN_KEY':\n"
        "        raise RuntimeError('no backend')\n"
        "    return {('orchestrator', 'SERVICE_API_KEY'): 'from the keyring'}.get((service, name))\n"
    )
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)


def test_the_keyring_is_asked_where_it_is_installed_but_not_in_web_mode(keyring: None) -> None:
    try:
        assert look_up(NAME, [Keyring()]).value == "from the keyring"
        assert look_up("OTHER_KEY", [Keyring()]).seen[0].why_not == "not there"
        assert look_up("BROKEN_KEY", [Keyring()]).seen[0].why_not == "cannot be used: RuntimeError"
        off = look_up(NAME, outside_sources({}, (), web_mode=True, trusted=True))
        assert off.seen[0].why_not == "switched off in web mode"
    finally:
        sys.modules.pop("keyring", None)


def test_a_person_is_asked_once_for_each_name() -> None:
    questions: list[str] = []

    def ask(name: str) -> str:
        questions.append(name)
        return f"{name}-typed"

    prompt = Prompt(ask)

    assert [look_up(name, [prompt]).value for name in ("A_KEY", "A_KEY", "B_KEY")] == [
        "A_KEY-typed",
        "A_KEY-typed",
        "B_KEY-typed",
    ]
    assert questions == ["A_KEY", "B_KEY"]
    assert "typed" not in repr(prompt)
    assert look_up("A_KEY", [Prompt(None)]).seen[0].why_not == "nobody can be asked"


@pytest.mark.parametrize(
    ("data", "left"), [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a"), (b"a\nb", b"a\nb")]
)
def test_one_line_end_is_taken_off(data: bytes, left: bytes) -> None:
    assert without_line_end(data) == left
