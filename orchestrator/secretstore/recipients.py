"""Reads and changes `recipients.txt`: public keys, one a line, with comments; `age -R` takes it as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from orchestrator.errors import Refused
from orchestrator.fs.failure import printable
from orchestrator.secretstore import age

FILE = "recipients.txt"
_PENDING = "# removed, and secrets are still readable with it: "
_DONE = "# removed {day}: "
_MAX_COMMENT = 200


@dataclass(frozen=True, slots=True)
class Recipient:
    """One who can read: a public key of age or SSH, and who that is; `line` counts from 1."""

    key: str
    comment: str
    line: int

    def is_meant_by(self, word: str) -> bool:
        """Returns whether `word` is the key, with or without what follows it, or the comment."""
        return word.split()[:2] == self.key.split()[:2] or (bool(self.comment) and word == self.comment)


@dataclass(frozen=True, slots=True)
class Recipients:
    """The whole file, line by line, so that what a person wrote in it stays."""

    lines: tuple[str, ...] = ()
    file: str = FILE

    @property
    def entries(self) -> tuple[Recipient, ...]:
        """Returns those that secrets are encrypted to; the comment stands behind the key or above it."""
        found = []
        above = ""
        for number, line in enumerate(self.lines, 1):
            text = line.strip()
            if text.startswith("#"):
                above = "" if text.startswith("# removed") else text.lstrip("#").strip()
            elif text:
                words = text.split(maxsplit=2)
                is_ssh = text.startswith(("ssh-", "ecdsa-", "sk-"))
                key = " ".join(words[:2]) if is_ssh else text
                found.append(Recipient(key, words[2] if is_ssh and len(words) > 2 else above, number))
                above = ""
            else:
                above = ""
        return tuple(found)

    @property
    def keys(self) -> tuple[str, ...]:
        """Returns the public keys, all usable.

        Raises:
            Refused: `recipient-invalid`, names file and line; `recipients-empty`; `secrets-not-installed`.
        """
        for each in self.entries:
            reason = age.check_recipient(each.key)
            if reason:
                raise invalid(f"{printable(self.file)}:{each.line}", reason)
        if not self.entries:
            raise Refused(
                f"{printable(self.file)} names nobody who could read the secrets.",
                code="recipients-empty",
                hint="Add yourself with: orchestrator secrets recipients add",
            )
        return tuple(each.key for each in self.entries)

    @property
    def pending(self) -> tuple[str, ...]:
        """Returns the keys that were taken out since the last `rekey`."""
        return tuple(line[len(_PENDING) :].strip() for line in self.lines if line.startswith(_PENDING))

    def added(self, key: str, comment: str = "") -> Recipients:
        """Returns the file with one more public key; one that is there already changes nothing.

        Raises:
            Refused: `recipient-invalid`; `secrets-not-installed`.
        """
        text = " ".join(key.split())
        reason = age.check_recipient(text)
        if reason:
            raise invalid(f"{printable(text[:60])!r}", reason)
        if any(each.is_meant_by(text) for each in self.entries):
            return self
        said = " ".join(re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", " ", comment).split())[:_MAX_COMMENT]
        return Recipients((*self.lines, *((f"# {said}",) if said else ()), text), self.file)

    def removed(self, recipient: Recipient) -> Recipients:
        """Returns the file without a key, with a note that secrets are still readable with it."""
        lines = list(self.lines)
        lines[recipient.line - 1] = f"{_PENDING}{recipient.key}"
        return Recipients(tuple(lines), self.file)

    def settled(self, day: date) -> Recipients:
        """Returns the file after every secret was encrypted anew: nothing is pending any more."""
        done = _DONE.format(day=day.isoformat())
        return Recipients(
            tuple(done + line[len(_PENDING) :] if line.startswith(_PENDING) else line for line in self.lines),
            self.file,
        )

    def encode(self) -> bytes:
        """Returns the bytes of the file."""
        return "".join(f"{line}\n" for line in self.lines).encode()


def parse(data: bytes, file: str) -> Recipients:
    """Returns what a file holds; whether its keys can be used is looked at when they are."""
    return Recipients(tuple(data.decode("utf-8", "replace").splitlines()), file)


def invalid(where: str, reason: str) -> Refused:
    """Returns the error for a public key that cannot be used."""
    return Refused(
        f"{where} cannot be a recipient: {reason}.",
        code="recipient-invalid",
        hint="Use an age key (age1…) or an SSH key of type ed25519 or RSA.",
    )
