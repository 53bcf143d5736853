from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.secretstore.recipients import Recipients, parse
from tests.secretstore.conftest import ssh_key, stranger


def test_comments_stand_above_an_age_key_or_behind_an_ssh_key_and_all_lines_stay(tmp_path: Path) -> None:
    _, public = stranger()
    ssh = ssh_key(tmp_path, "ed25519").with_suffix(".pub").read_text().strip()
    text = f"# the team\n\n# alice\n{public}\n{ssh}\n# the end\n"

    named = parse(text.encode(), "recipients.txt")

    assert [(each.comment, each.line) for each in named.entries] == [("alice", 4), ("tester", 5)]
    assert named.keys == (public, " ".join(ssh.split()[:2]))
    assert named.encode() == text.encode()


def test_a_key_is_added_once_with_its_comment(tmp_path: Path) -> None:
    _, public = stranger()

    named = Recipients().added(f" {public}\n", "alice\nat home")

    assert named.encode().decode() == f"# alice at home\n{public}\n"
    assert named.added(public, "again") == named


def test_a_removed_key_is_pending_until_everything_was_encrypted_anew() -> None:
    (_, one), (_, two) = stranger(), stranger()
    named = Recipients().added(one, "alice").added(two, "bob")

    left = named.removed(named.entries[0])

    assert left.keys == (two,)
    assert left.entries[0].comment == "bob"
    assert left.pending == (one,)
    assert left.settled(date(2026, 1, 2)).pending == ()
    assert left.settled(date(2026, 1, 2)).keys == (two,)
    assert left.added(one, "alice again").keys == (two, one)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY= x", "cannot encrypt to ecdsa"),
        ("sk-ssh-ed25519@openssh.com AAAA x", "cannot encrypt to sk-"),
        ("age1nonsense", "no public key"),
        ("ssh-ed25519 AAAA", "no public key"),
        ("", "no public key"),
        ("--option", "no public key"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_the_reason(key: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        Recipients().added(key)

    assert refused.value.code == "recipient-invalid"


def test_a_private_key_is_not_taken_for_a_public_one_nor_shown() -> None:
    private, _ = stranger()

    with pytest.raises(Refused, match="private key") as refused:
        Recipients().added(private)

    assert private[20:] not in refused.value.message


def test_a_line_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    public = ssh_key(tmp_path, "ecdsa").with_suffix(".pub").read_text()

    with pytest.raises(
        Refused, match=r"^recipients.txt:2 cannot be a recipient: age cannot encrypt to ecdsa"
    ):
        parse(f"# bob\n{public}".encode(), "recipients.txt").keys  # noqa: B018 - it checks

    with pytest.raises(Refused, match="names nobody"):
        parse(b"# nobody\n", "recipients.txt").keys  # noqa: B018 - it checks
