from __future__ import annotations

import os
import shlex
import stat
import subprocess
import threading
from datetime import date
from pathlib import Path

import pytest

from orchestrator.errors import CredentialMissing, Failed, Locked, Refused
from orchestrator.fs.lock import FileLock
from orchestrator.secretstore import age, identity
from orchestrator.secretstore import store as store_module
from orchestrator.secretstore.identity import load_identities
from orchestrator.secretstore.places import global_directory
from tests.secretstore.conftest import NAME, VALUE, Bench, ssh_key, stranger

TODAY = date(2026, 11, 26)


def mode(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_value_comes_back_and_its_file_shows_the_name_alone(bench: Bench) -> None:
    written = bench.store().set(NAME, VALUE, {})

    path = bench.store().path(NAME)
    assert (written.replaced, written.recipients, written.readable) == (False, 1, True)
    assert bench.value() == VALUE
    assert path.read_bytes().startswith(age.BEGIN)
    assert VALUE not in path.read_bytes()
    assert [each.name for each in bench.store().secrets()] == [NAME]


def test_everything_it_makes_is_private(bench: Bench) -> None:
    bench.set()

    made = bench.root / "secrets"
    files = [path for path in made.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == [f"{NAME}.age", "recipients.txt", "repo.alias"]
    assert {mode(path) for path in (*files, identity.own_identity_file())} == {0o600}
    assert {mode(path) for path in (made, made / "repo")} == {0o700}
    assert (made / "repo.alias").read_text() == "sample\n"


def test_the_identity_is_in_the_users_own_directory_and_made_once(bench: Bench) -> None:
    bench.set()
    first = identity.own_identity_file().read_bytes()
    bench.set("OTHER_KEY", b"another-value")

    assert bench.home in identity.own_identity_file().parents
    assert identity.own_identity_file().read_bytes() == first
    assert bench.home in global_directory().parents


@pytest.mark.parametrize(
    "value", [b"two\nlines\n", b"x" * 1_000_000, "größe \U0001f600".encode(), b"\xff\xfe"]
)
def test_a_value_may_be_long_and_hold_line_ends_and_any_byte_but_nul(bench: Bench, value: bytes) -> None:
    bench.set(value=value)

    assert bench.value() == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "secret-empty"),
        (b" \n", "secret-empty"),
        (b"a\0b", "secret-invalid"),
        (b"x" * (5 << 20), "secret-too-large"),
    ],
)
def test_a_value_that_means_nothing_or_cannot_be_used_is_refused(
    bench: Bench, value: bytes, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        bench.set(value=value)

    assert refused.value.code == code
    assert bench.store().secrets() == ()


@pytest.mark.parametrize(
    "name",
    [
        "../ESCAPE",
        "/etc/passwd",
        "A/B",
        "lower",
        "",
        "9LIVES",
        "A" * 65,
        "A\n",
        "A.B",
        "PATH",
        "ORCHESTRATOR_X",
    ],
)
def test_a_name_that_is_no_name_of_a_variable_of_its_own_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(Refused) as refused:
        bench.set(name)

    assert refused.value.code == "secret-name"
    assert not (bench.root / "secrets").exists()


def test_another_value_replaces_the_first(bench: Bench) -> None:
    bench.set()

    written = bench.store().set(NAME, b"newer", {})

    assert written.replaced
    assert bench.value() == b"newer"


def test_what_is_removed_is_gone(bench: Bench) -> None:
    bench.set()

    assert bench.store().remove(NAME)
    assert not bench.store().remove(NAME)
    assert bench.value() is None
    assert [path for path in bench.root.rglob("*") if NAME in path.name] == []


def test_two_at_once_are_both_stored(bench: Bench) -> None:
    names = [f"KEY_{number}" for number in range(6)]
    problems: list[BaseException] = []

    def store(name: str) -> None:
        try:
            bench.set(name, name.encode() + b"-value")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=store, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert {name: bench.value(name) for name in names} == {n: n.encode() + b"-value" for n in names}
    assert len(bench.store().recipients().entries) == 1


def test_a_store_that_another_command_changes_is_waited_for_and_then_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set()
    monkeypatch.setattr(store_module, "_PATIENCE_S", 0.1)  # nobody will let go
    with (
        FileLock(bench.root / "locks" / "secrets.lock", what="x", command="orchestrator secrets set"),
        pytest.raises(Locked) as locked,
    ):
        bench.set(value=b"newer")

    assert locked.value.exit_status == 5
    assert "orchestrator secrets set" in locked.value.message
    assert bench.value() == VALUE


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
@pytest.mark.parametrize("bits", [0o750, 0o705, 0o777])
def test_a_store_that_others_can_use_is_refused_with_the_command_that_mends_it(
    bench: Bench, bits: int
) -> None:
    bench.set()
    directory = bench.store().directory
    directory.chmod(bits)

    hints = set()
    for attempt in (bench.set, bench.value, bench.store().secrets, bench.store().recipients):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code == "secret-store-unsafe"
        hints.add(refused.value.hint)

    assert hints == {f"chmod go= {directory}"}
    subprocess.run(shlex.split(hints.pop()), check=True)
    assert bench.value() == VALUE


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_a_file_that_others_can_read_is_refused_unless_it_is_committed(bench: Bench) -> None:
    bench.set()
    bench.store().path(NAME).chmod(0o644)
    bench.store().directory.chmod(0o700)

    with pytest.raises(Refused, match="Others can read or change"):
        bench.value()

    bench.store().directory.chmod(0o755)
    committed = bench.store(committed=True)
    assert committed.reveal(NAME, load_identities({})) == VALUE
    committed.directory.chmod(0o757)
    with pytest.raises(Refused, match="Others can change"):
        committed.recipients()


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_a_private_key_that_others_can_read_is_refused(bench: Bench) -> None:
    bench.set()
    identity.own_identity_file().chmod(0o640)

    with pytest.raises(Refused) as refused:
        bench.value()

    assert refused.value.code == "identity-unsafe"
    assert refused.value.hint == f"chmod go= {identity.own_identity_file()}"


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_no_link_is_followed(bench: Bench, tmp_path: Path) -> None:
    bench.set()
    path = bench.store().path(NAME)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Refused, match="is a link"):
        bench.value()


def test_the_wrong_key_is_told_from_damage(bench: Bench) -> None:
    bench.set()
    path = bench.store().path(NAME)
    private, _ = stranger()

    with pytest.raises(CredentialMissing) as wrong:
        bench.store().reveal(NAME, load_identities({identity.KEY_VARIABLE: private}))
    assert (wrong.value.code, wrong.value.exit_status) == ("secret-not-for-you", 4)
    assert str(path) in wrong.value.message

    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-60], b"", b"plain text", b"# note\n" + whole):
        path.write_bytes(damaged)
        with pytest.raises(Failed) as broken:
            bench.value()
        assert (broken.value.code, broken.value.exit_status) == ("secret-damaged", 3)
        assert str(path) in broken.value.message


def test_a_file_for_a_passphrase_is_not_for_us(bench: Bench) -> None:
    import pyrage

    bench.set()
    bench.store().path(NAME).write_bytes(pyrage.passphrase.encrypt(b"x", "word", armored=True))

    with pytest.raises(CredentialMissing, match="other keys than yours"):
        bench.value()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_without_passphrase_opens_what_is_encrypted_to_it(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    key = ssh_key(tmp_path, kind)
    public = key.with_suffix(".pub").read_text()
    bench.store().change_recipients(lambda named: named.added(public, ""), {})
    bench.set()
    identity.own_identity_file().unlink()

    with pytest.raises(CredentialMissing) as missing:
        bench.value()
    assert missing.value.code == "identity-missing"

    found = bench.store().reveal(NAME, load_identities({identity.FILE_VARIABLE: str(key)}))
    assert found == VALUE


def test_a_key_in_the_environment_opens_everything_alone(bench: Bench) -> None:
    private, public = stranger()
    environment = {identity.KEY_VARIABLE: private}

    bench.store().set(NAME, VALUE, environment)

    assert bench.store().reveal(NAME, load_identities(environment)) == VALUE
    assert [each.key for each in bench.store().recipients().entries] == [public]
    assert not identity.own_identity_file().exists()


def test_an_ssh_key_in_the_environment_opens_but_names_no_recipient(bench: Bench, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "ed25519")
    environment = {identity.KEY_VARIABLE: key.read_text()}

    with pytest.raises(CredentialMissing, match="public half is not known"):
        bench.store().set(NAME, VALUE, environment)

    public = key.with_suffix(".pub").read_text()
    bench.store().change_recipients(lambda named: named.added(public), {})
    bench.store().set(NAME, VALUE, environment)
    assert bench.store().reveal(NAME, load_identities(environment)) == VALUE


def test_keys_that_do_not_work_are_told_apart(bench: Bench, tmp_path: Path) -> None:
    locked = ssh_key(tmp_path, "ed25519", "passphrase")
    unsupported = ssh_key(tmp_path, "ecdsa")
    cases = [
        ({identity.FILE_VARIABLE: str(locked)}, "identity-locked"),
        ({identity.FILE_VARIABLE: str(unsupported)}, "identity-invalid"),
        ({identity.FILE_VARIABLE: str(tmp_path / "none")}, "identity-missing"),
        ({identity.KEY_VARIABLE: "AGE-SECRET-KEY-1XX"}, "identity-invalid"),
        ({identity.KEY_VARIABLE: "# only a comment"}, "identity-invalid"),
        ({}, "identity-missing"),
    ]

    for environment, code in cases:
        with pytest.raises(CredentialMissing) as refused:
            load_identities(environment)
        assert (refused.value.code, refused.value.exit_status) == (code, 4)
        assert "AGE-SECRET-KEY-1XX" not in refused.value.message


def test_rekey_lets_new_recipients_read_and_keeps_when_a_secret_was_set(bench: Bench) -> None:
    private, public = stranger()
    other = load_identities({identity.KEY_VARIABLE: private})
    bench.set()
    os.utime(bench.store().path(NAME), ns=(10**18, 10**18))
    bench.store().change_recipients(lambda named: named.added(public, "a colleague"), {})
    with pytest.raises(CredentialMissing):
        bench.store().reveal(NAME, other)

    done = bench.store().rekey({}, TODAY)

    assert (done.names, done.rotate) == ((NAME,), ())
    assert bench.store().reveal(NAME, other) == bench.value() == VALUE
    assert os.stat(bench.store().path(NAME)).st_mtime_ns == 10**18


def test_rekey_after_a_removal_says_what_to_rotate_once(bench: Bench) -> None:
    private, public = stranger()
    bench.set()
    bench.store().change_recipients(lambda named: named.added(public, "a colleague"), {})
    bench.store().rekey({}, TODAY)
    bench.store().change_recipients(lambda named: named.removed(named.entries[1]), {})
    assert bench.store().recipients().pending == (public,)

    done = bench.store().rekey({}, TODAY)

    assert done.rotate == (NAME,)
    assert bench.store().rekey({}, TODAY).rotate == ()
    assert f"# removed 2026-11-26: {public}\n" in bench.store().recipients_file.read_text()
    with pytest.raises(CredentialMissing):
        bench.store().reveal(NAME, load_identities({identity.KEY_VARIABLE: private}))


def test_rekey_changes_nothing_when_you_or_a_secret_would_be_lost(bench: Bench) -> None:
    bench.set()
    bench.set("SECOND_KEY", b"second-value")
    _, public = stranger()
    before = bench.store().path(NAME).read_bytes()
    bench.store().recipients_file.write_text(f"{public}\n")

    with pytest.raises(Refused) as locked_out:
        bench.store().rekey({}, TODAY)
    assert locked_out.value.code == "rekey-locks-you-out"

    own = load_identities({})[0].public
    bench.store().recipients_file.write_text(f"{public}\n{own}\n")
    bench.store().path("SECOND_KEY").write_bytes(b"no age file")
    with pytest.raises(Failed, match="SECOND_KEY"):
        bench.store().rekey({}, TODAY)
    assert bench.store().path(NAME).read_bytes() == before


def test_a_store_for_others_alone_says_that_you_cannot_read_it(bench: Bench) -> None:
    _, public = stranger()
    bench.set()
    bench.store().recipients_file.write_text(f"{public}\n")

    written = bench.store().set(NAME, b"for somebody else", {})

    assert not written.readable


def test_without_the_package_there_is_one_clear_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.set()
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)  # what an import finds without the extra

    for attempt in (bench.set, bench.value):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code == "secrets-not-installed"
        assert "pip install 'orchestrator[secrets]'" in refused.value.hint
    assert [each.name for each in bench.store().secrets()] == [NAME]
