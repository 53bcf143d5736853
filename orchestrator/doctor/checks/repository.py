"""The user's repository: is it one, and can runs start in it."""

from __future__ import annotations

import os

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, ok


def _history(context: Context) -> Diagnosis:
    located = context.located()
    missing = []
    if os.path.exists(os.path.join(located.common_dir, "shallow")):
        missing.append("shallow clone: older history is missing, so a base before it cannot be used")
    keys = {key.lower() for key in context.git().local_keys()}
    if any(key.startswith("remote.") and key.endswith(".promisor") for key in keys):
        missing.append("partial clone: git fetches missing files when an agent's tree is made")
    if "core.sparsecheckout" in keys:
        missing.append("sparse checkout: agents' trees hold the same part of the files")
    if not missing:
        return ok("History and files are complete.")
    return ok("Only a part of the repository is here; runs work with that part.", missing)


def _other_repositories(context: Context) -> Diagnosis:
    checkout = context.located().checkout
    inner = []
    if os.path.isfile(os.path.join(checkout, ".gitmodules")):
        inner.append("submodules (.gitmodules): agents' trees hold those that you have checked out")
    for entry in sorted(os.scandir(checkout), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False) and os.path.isdir(os.path.join(entry.path, ".git")):
            inner.append(f"{entry.name}/ is a repository of its own: call orchestrator there with -C")
    return ok("Other repositories lie inside." if inner else "No other repository lies inside.", inner)


CHECKS = (
    Check(
        "repository-history",
        "repository",
        "whether history or files are only partly here",
        "Shallow, partial and sparse checkouts work; what is not here cannot be seen by agents.",
        _history,
    ),
    Check(
        "repository-inside",
        "repository",
        "whether other repositories lie inside this one",
        "Only the repository asked for is worked on; nested ones have to be named.",
        _other_repositories,
    ),
)
