"""Consent to a push is the user's alone: for one address, kept where only the user can write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.config.schema import Session
from orchestrator.errors import Refused
from orchestrator.repo.git import find_repository
from orchestrator.repo.repository import Repository
from orchestrator.sessions.consent import ConsentStore, shown_url
from orchestrator.sessions.place import place_to_push
from tests.conftest import GitCall


def test_consent_is_given_and_withdrawn_for_one_address(tmp_path: Path) -> None:
    store = ConsentStore(tmp_path / "push")

    store.give("https://host/a.git")

    assert store.is_given("https://host/a.git")
    assert not store.is_given("https://host/b.git")
    assert store.withdraw("https://host/a.git")
    assert not store.is_given("https://host/a.git")
    assert not store.withdraw("https://host/a.git")


def test_a_place_that_others_can_write_is_refused(tmp_path: Path) -> None:
    store = ConsentStore(tmp_path / "push")
    store.give("https://host/a.git")
    (tmp_path / "push").chmod(0o777)

    with pytest.raises(Refused) as raised:
        store.is_given("https://host/a.git")

    assert raised.value.code == "consent-store-unsafe"


def test_a_password_in_the_address_is_not_kept(tmp_path: Path) -> None:
    store = ConsentStore(tmp_path / "push")

    store.give("https://me:geheim@host/a.git")

    assert store.is_given("https://me:geheim@host/a.git")
    assert "geheim" not in "".join(path.read_text() for path in (tmp_path / "push").iterdir())
    assert shown_url("https://me:geheim@host/a.git") == "https://host/a.git"


def test_of_a_password_with_an_at_sign_nothing_is_shown() -> None:
    assert shown_url("https://me:ge@heim@host/a@b.git") == "https://host/a@b.git"


@pytest.mark.parametrize("url", ["../other.git", "./../other.git"])
def test_a_path_means_the_same_from_every_clone(repository: Path, git: GitCall, url: str) -> None:
    git(repository, "remote", "add", "origin", url)
    found = Repository(find_repository(str(repository), dict(os.environ)), trusted=False)

    place = place_to_push(found, Session())

    assert place.url == str(repository.parent.resolve() / "other.git")


@pytest.mark.parametrize("url", ["https://host/a.git", "git@host:a.git", "ssh://host/a.git"])
def test_an_address_stays_as_it_is(repository: Path, git: GitCall, url: str) -> None:
    git(repository, "remote", "add", "elsewhere", url)
    found = Repository(find_repository(str(repository), dict(os.environ)), trusted=False)

    assert place_to_push(found, Session(remote="elsewhere")).url == url
    assert place_to_push(found, Session(remote=url)).url == url


@pytest.mark.parametrize("name", ["nothing", "--upload-pack=x", "-x/y"])
def test_what_is_no_remote_is_refused(repository: Path, git: GitCall, name: str) -> None:
    found = Repository(find_repository(str(repository), dict(os.environ)), trusted=False)

    with pytest.raises(Refused) as raised:
        place_to_push(found, Session(remote=name))

    assert raised.value.code == "remote-unknown"
