"""What we write the `age` command reads, and the other way round."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.secretstore import age, identity
from orchestrator.secretstore.identity import load_identities
from tests.secretstore.conftest import NAME, VALUE, Bench, ssh_key

pytestmark = pytest.mark.skipif(
    shutil.which("age") is None or shutil.which("age-keygen") is None,
    reason="the `age` command is not installed",
)


def run(*words: str, given: bytes = b"") -> bytes:
    return subprocess.run(words, input=given, capture_output=True, check=True).stdout


def test_age_opens_what_we_wrote_with_our_identity_file(bench: Bench) -> None:
    bench.set(value=b"two\nlines")

    path = bench.store().path(NAME)
    assert run("age", "-d", "-i", str(identity.own_identity_file()), str(path)) == b"two\nlines"


def test_we_open_what_age_wrote_to_our_recipients_file(bench: Bench) -> None:
    bench.set()
    recipients = os.fspath(bench.store().recipients_file)

    for armour in ([], ["-a"]):
        sealed = run("age", *armour, "-R", recipients, given=b"from the command")
        bench.store().path(NAME).write_bytes(sealed)
        assert bench.value() == b"from the command"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_work_in_both_directions(bench: Bench, tmp_path: Path, kind: str) -> None:
    key = ssh_key(tmp_path, kind)
    public = key.with_suffix(".pub").read_text()
    bench.store().change_recipients(lambda named: named.added(public), {})
    bench.set()
    path = bench.store().path(NAME)

    assert run("age", "-d", "-i", str(key), str(path)) == VALUE
    path.write_bytes(run("age", "-a", "-R", os.fspath(key.with_suffix(".pub")), given=b"back"))
    assert bench.store().reveal(NAME, load_identities({identity.FILE_VARIABLE: str(key)})) == b"back"


def test_a_key_of_age_keygen_unlocks_in_ci(bench: Bench, tmp_path: Path) -> None:
    made = run("age-keygen").decode()
    environment = {identity.KEY_VARIABLE: made}
    public = next(line.rpartition(" ")[2] for line in made.splitlines() if "public key" in line)
    bench.store().change_recipients(lambda named: named.added(public), {})

    bench.store().set(NAME, VALUE, {})

    assert bench.store().reveal(NAME, load_identities(environment)) == VALUE
    file = tmp_path / "key.txt"
    file.write_text(made)
    file.chmod(0o600)
    assert age.read_identities(file.read_bytes(), "key")[0].public == public
