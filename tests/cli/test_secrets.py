"""`secrets`: what people type, what they see, and what nobody may see."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, Call, here, process
from tests.conftest import GitCall
from tests.secretstore.conftest import ssh_key, stranger

NAME = "SERVICE_API_KEY"
VALUE = "canary-4711-value"


def store(project: Path, name: str = NAME, value: str = VALUE, *words: str) -> Answer:
    return here("secrets", "set", name, *words, cwd=project, stdin=value)


def files(project: Path) -> list[Path]:
    return sorted((project / ".orchestrator" / "secrets").glob("*/*.age"))


def committed(project: Path) -> None:
    with open(project / ".orchestrator" / "workflow.yaml", "a") as file:
        file.write("secrets: {mode: committed}\n")


def test_a_value_from_standard_input_is_stored_and_shown_only_when_asked(project: Path, call: Call) -> None:
    answer = store(project, value=f"{VALUE}\n")

    assert (answer.status, answer.err) == (0, "")
    assert answer.out == f"stored {NAME} in the repository store, for 1 recipient\n"
    assert VALUE.encode() not in b"".join(
        path.read_bytes() for path in (project / ".orchestrator").rglob("*") if path.is_file()
    )
    hidden = call("secrets", "show", NAME, cwd=project)
    assert hidden.status == 0
    assert VALUE not in hidden.out + hidden.err
    assert str(files(project)[0]) in hidden.out
    assert here("secrets", "show", NAME, "--reveal", cwd=project).out == VALUE
    assert call("secrets", "show", NAME, "--reveal", "--json", cwd=project).json["value"] == VALUE


def test_a_file_is_taken_byte_by_byte(project: Path, call: Call) -> None:
    (project / "key.pem").write_bytes(b"-----BEGIN-----\nabc\n-----END-----\n")

    assert call("secrets", "set", NAME, "--file", "key.pem", cwd=project).status == 0

    shown = here("secrets", "show", NAME, "--reveal", cwd=project)
    assert shown.out == "-----BEGIN-----\nabc\n-----END-----\n"
    missing = call("secrets", "set", NAME, "--file", "none", cwd=project)
    assert (missing.status, "error[file-unreadable]" in missing.err) == (2, True)


def test_a_value_on_the_command_line_is_refused_and_not_repeated(project: Path, call: Call) -> None:
    answer = call("secrets", "set", NAME, VALUE, cwd=project)

    assert answer.status == 2
    assert "error[secret-on-command-line]" in answer.err
    assert VALUE not in answer.out + answer.err
    assert files(project) == []


@pytest.mark.parametrize("name", ["../../ESCAPE", "a/b", "/tmp/X", "lower", "PATH"])
@pytest.mark.parametrize("command", ["set", "show", "which", "remove"])
def test_a_name_that_is_a_path_is_refused_everywhere(
    project: Path, call: Call, command: str, name: str
) -> None:
    answer = call("secrets", command, name, cwd=project)

    assert answer.status == 2
    assert "error[secret-name]" in answer.err


@pytest.mark.parametrize("value", ["", "\n", "  \n"])
def test_nothing_is_no_value(project: Path, value: str) -> None:
    answer = store(project, value=value)

    assert answer.status == 2
    assert "error[secret-empty]" in answer.err


def test_the_list_tells_names_places_and_ages(project: Path, call: Call) -> None:
    assert "Nothing is stored" in call("secrets", "list", cwd=project).err
    store(project)
    store(project, "OWN_KEY", "another-canary", "--global")
    os.utime(files(project)[0], (1_700_000_000, 1_700_000_000))

    listed = call("secrets", "list", "--json", cwd=project).json["secrets"]

    assert [(each["name"], each["store"]) for each in listed] == [
        (NAME, "repository store"),
        ("OWN_KEY", "global store"),
    ]
    assert listed[0]["age_days"] > 900
    assert datetime.fromisoformat(listed[0]["set_at"]).year == 2023
    text = call("secrets", "list", cwd=project).out
    assert "2023-11-14" in text
    assert VALUE not in text


def test_outside_of_a_repository_your_own_store_still_works(home: Path, tmp_path: Path, call: Call) -> None:
    place = tmp_path / "nowhere"
    place.mkdir()

    assert store(place, NAME, VALUE, "--global").status == 0

    assert call("secrets", "list", "--json", cwd=place).json["secrets"][0]["store"] == "global store"
    assert here("secrets", "show", NAME, "--reveal", cwd=place).out == VALUE
    found = call("secrets", "which", NAME, "--json", cwd=place)
    assert (found.status, found.json["source"].split(" /")[0]) == (0, "global store")
    assert "error[not-a-repository]" in store(place).err


def test_which_names_the_source_and_every_place_but_never_the_value(project: Path, call: Call) -> None:
    missing = call("secrets", "which", NAME, cwd=project)
    store(project)
    environment = {NAME: "proxy-injected", "ORCHESTRATOR_SECRET_OTHER_KEY": VALUE}

    text = here("secrets", "which", NAME, cwd=project, **environment)
    other = here("secrets", "which", "OTHER_KEY", "--json", cwd=project, **environment)

    assert missing.status == 4
    assert missing.out.startswith(f"{NAME}: no value in any place\n")
    for place in ("variable", "repository store", "global store", "keyring", "prompt on a terminal"):
        assert place in missing.out
    assert text.status == 0
    assert text.out.startswith(f"{NAME}: repository store {files(project)[0]}\n")
    assert f"holds the placeholder proxy-injected  variable {NAME}" in text.out
    assert other.json["source"] == "variable ORCHESTRATOR_SECRET_OTHER_KEY"
    assert VALUE not in text.out + other.out


def test_which_knows_what_is_written_for_an_agent(project: Path, call: Call) -> None:
    with open(project / ".orchestrator" / "workflow.yaml", "a") as file:
        file.write(f"agents: {{claude: {{env: {{{NAME}: {VALUE}}}}}}}\n")

    answer = call("secrets", "which", NAME, "--agent", "claude", cwd=project)

    assert answer.out.startswith(f"{NAME}: `env` of the step's agent\n")
    assert VALUE not in answer.out


def test_which_asks_a_command_of_the_repository_only_once_it_is_trusted(
    repository: Path, call: Call, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    script = tmp_path / "manager.py"
    script.write_text(f"open({str(marker)!r}, 'a').write('x'); print({VALUE!r})")
    assert call("init", "--trust", cwd=repository).status == 0
    with open(repository / ".orchestrator" / "workflow.yaml", "a") as file:
        file.write(f"secrets: {{providers: [{{run: [{sys.executable}, {script}, '{{name}}']}}]}}\n")

    untrusted = call("secrets", "which", NAME, cwd=repository)

    assert untrusted.status == 4
    assert "not approved: orchestrator trust" in untrusted.out
    assert not marker.exists()
    assert "secrets.providers.0" in call("trust", "--show", cwd=repository).out
    assert call("trust", "--yes", cwd=repository).status == 0
    trusted = call("secrets", "which", NAME, cwd=repository)
    assert trusted.status == 0
    assert trusted.out.startswith(f"{NAME}: command {sys.executable}")
    assert marker.exists()
    assert VALUE not in trusted.out


def test_which_explains_what_it_cannot_open(project: Path, call: Call) -> None:
    store(project)
    files(project)[0].write_bytes(b"no age file")

    damaged = call("secrets", "which", NAME, cwd=project)

    assert (damaged.status, "error[secret-damaged]" in damaged.err) == (3, True)
    private, _ = stranger()
    store(project)
    foreign = here("secrets", "which", NAME, cwd=project, ORCHESTRATOR_AGE_KEY=private)
    assert (foreign.status, "error[secret-not-for-you]" in foreign.err) == (4, True)


def test_removing_asks_and_what_is_removed_is_gone(project: Path, call: Call) -> None:
    store(project)

    refused = call("secrets", "remove", NAME, cwd=project)
    removed = call("secrets", "remove", NAME, "--yes", cwd=project)
    again = call("secrets", "remove", NAME, "--yes", cwd=project)

    assert (refused.status, "--yes" in refused.err) == (2, True)
    assert (removed.status, removed.out) == (0, f"removed {NAME} from the repository store\n")
    assert (again.status, "error[secret-unknown]" in again.err) == (2, True)
    assert files(project) == []


def test_recipients_are_added_listed_and_removed(project: Path, call: Call, tmp_path: Path) -> None:
    _, public = stranger()
    ssh = ssh_key(tmp_path, "ed25519").with_suffix(".pub")
    store(project)

    added = call("secrets", "recipients", "add", public, "--comment", "a colleague", cwd=project)
    by_file = call("secrets", "recipients", "add", "--file", str(ssh), cwd=project)
    again = call("secrets", "recipients", "add", public, cwd=project)
    listed = call("secrets", "recipients", "list", "--json", cwd=project).json["recipients"]

    assert added.out == f"added {public} (a colleague)\n"
    assert "orchestrator secrets rekey" in added.err
    assert by_file.status == 0
    assert "Nothing changed" in again.out
    assert [(each["comment"], each["mine"]) for each in listed] == [
        (None, True),
        ("a colleague", False),
        ("tester", False),
    ]
    assert call("secrets", "recipients", "remove", "a colleague", cwd=project).status == 0
    assert call("secrets", "recipients", "remove", "nobody", cwd=project).status == 2
    pending = call("secrets", "recipients", "list", cwd=project)
    assert f"{public} was removed" in pending.err
    rekeyed = call("secrets", "rekey", cwd=project)
    assert rekeyed.out.splitlines() == [
        "encrypted 1 secret of the repository store anew",
        f"rotate {NAME} at its issuer: whoever was removed may have read it",
    ]
    assert call("secrets", "rekey", "--json", cwd=project).json["rotate"] == []


def test_an_ecdsa_key_is_refused_with_the_reason(project: Path, call: Call, tmp_path: Path) -> None:
    public = ssh_key(tmp_path, "ecdsa").with_suffix(".pub")

    answer = call("secrets", "recipients", "add", "--file", str(public), cwd=project)

    assert answer.status == 2
    assert "age cannot encrypt to ecdsa-sha2-nistp256 keys; ed25519 and RSA work" in answer.err


def test_the_last_recipient_stays(project: Path, call: Call) -> None:
    store(project)
    own = call("secrets", "recipients", "list", "--json", cwd=project).json["recipients"][0]["key"]

    answer = call("secrets", "recipients", "remove", own, cwd=project)

    assert (answer.status, "error[recipients-empty]" in answer.err) == (2, True)


def test_git_sees_encrypted_secrets_in_committed_mode_alone(project: Path, call: Call, git: GitCall) -> None:
    def seen() -> set[str]:
        listed = git(project, "ls-files", "--others", "--exclude-standard", ".orchestrator/secrets")
        return {Path(line).name for line in listed.splitlines()}

    store(project)
    assert seen() == set()

    committed(project)
    store(project)
    assert seen() == {f"{NAME}.age", "recipients.txt"}

    text = (project / ".orchestrator" / "workflow.yaml").read_text()
    (project / ".orchestrator" / "workflow.yaml").write_text(text.replace("committed", "local"))
    assert call("init", cwd=project).status == 0
    assert seen() == set()


def test_a_clone_reads_what_is_committed_with_a_key_from_the_environment(
    project: Path, git: GitCall, tmp_path: Path
) -> None:
    private, public = stranger()
    committed(project)
    store(project)
    assert here("secrets", "recipients", "add", public, cwd=project).status == 0
    assert here("secrets", "rekey", cwd=project).status == 0
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "secrets")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    elsewhere = tmp_path / "other-home"
    elsewhere.mkdir()
    machine = {"HOME": str(elsewhere), "CI": "true", "ORCHESTRATOR_AGE_KEY": private}

    assert here("init", cwd=clone, **machine).status == 0
    shown = here("secrets", "show", NAME, "--reveal", cwd=clone, **machine)

    assert (shown.status, shown.out) == (0, VALUE)
    assert here("secrets", "which", NAME, cwd=clone, **machine).status == 0
    without = here("secrets", "show", NAME, "--reveal", cwd=clone, **{**machine, "ORCHESTRATOR_AGE_KEY": ""})
    assert (without.status, "error[identity-missing]" in without.err) == (4, True)


def test_a_private_set_up_lets_nothing_through(repository: Path, call: Call, git: GitCall) -> None:
    assert call("init", "--private", "--trust", cwd=repository).status == 0
    committed(repository)
    store(repository)

    assert git(repository, "status", "--porcelain", "--", ".orchestrator") == ""


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_a_store_open_to_others_is_refused_by_every_command(project: Path, call: Call) -> None:
    store(project)
    files(project)[0].parent.chmod(0o755)

    for words in (["list"], ["show", NAME, "--reveal"], ["which", NAME], ["rekey"], ["recipients", "list"]):
        answer = call("secrets", *words, cwd=project)
        assert answer.status == 2, words
        assert f"chmod go= {files(project)[0].parent}" in answer.err


def test_two_commands_at_once_both_store(project: Path) -> None:
    entry = "import sys; from orchestrator.cli.front import main; sys.exit(main())"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", entry, "secrets", "set", f"KEY_{number}"],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for number in range(3)
    ]
    for number, each in enumerate(running):
        each.communicate(f"value-{number}".encode(), timeout=60)

    assert [each.returncode for each in running] == [0, 0, 0]
    for number in range(3):
        shown = here("secrets", "show", f"KEY_{number}", "--reveal", cwd=project)
        assert shown.out == f"value-{number}"


def test_without_the_package_the_command_says_how_to_install_it(project: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "pyrage.py").write_text("raise ImportError('not here')\n")

    answer = process("secrets", "set", NAME, cwd=project, stdin=VALUE, PYTHONPATH=str(blocked))

    assert answer.status == 2
    assert answer.err.splitlines() == [
        "error[secrets-not-installed]: Encrypted secrets need the package pyrage, which is not installed.",
        "hint: Install it with: pip install 'orchestrator[secrets]'",
    ]


def test_deinit_names_the_way_back_to_encrypted_secrets(project: Path, call: Call, git: GitCall) -> None:
    store(project)

    left = call("deinit", "--json", cwd=project).json["removed"]

    way = next(each["command"] for each in left if each["what"].endswith(f"{NAME}.age"))
    assert git(project, *way.removeprefix("git ").split()).startswith("-----BEGIN AGE ENCRYPTED FILE-----")


def test_doctor_says_what_is_wrong_with_secrets_and_mends_the_ignore_file(
    project: Path, call: Call, git: GitCall
) -> None:
    def found(check: str) -> tuple[str, str]:
        answer = call("doctor", "--json", "--only", check, cwd=project).json["checks"][0]
        return answer["status"], answer["summary"]

    store(project)
    assert found("secrets-private")[0] == found("secrets-shared")[0] == found("secrets-recipients")[0] == "ok"
    assert found("secrets-age")[0] == "ok"

    with open(project / ".orchestrator" / "workflow.yaml", "a") as file:
        file.write("secrets: {mode: committed, max_age_days: 30}\n")
    os.utime(files(project)[0], (1_700_000_000, 1_700_000_000))
    assert found("secrets-age") == ("warn", "1 secret should be replaced: older than 30 days.")
    assert found("secrets-shared")[0] == "warn"
    assert call("doctor", "--fix", "--only", "secrets-shared", cwd=project).status == 0
    assert found("secrets-shared")[0] == "ok"

    directory = files(project)[0].parent
    (directory / "PLAIN.txt").write_text("hunter2")
    assert found("secrets-shared")[0] == "fail"
    (directory / "PLAIN.txt").unlink()
    files(project)[0].write_text("hunter2")
    assert found("secrets-shared")[0] == "fail"

    _, public = stranger()
    call("secrets", "recipients", "add", public, cwd=project)
    call("secrets", "recipients", "remove", public, cwd=project)
    assert found("secrets-recipients") == ("warn", "Removed recipients can still read secrets.")
    with open(directory / "recipients.txt", "a") as file:
        file.write("ecdsa-sha2-nistp256 AAAA somebody\n")
    assert found("secrets-recipients")[0] == "fail"
    if os.name == "posix":
        directory.chmod(0o757)
        assert found("secrets-private")[0] == "fail"


def test_the_footprint_names_your_own_store(project: Path, call: Call) -> None:
    places = call("doctor", "--footprint", "--json", cwd=project).json["user_directories"]

    assert any(place.endswith(os.path.join("orchestrator", "secrets")) for place in places)
