"""Fingerprints of what a check depends on beside the tree, so that a proof can be used again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.model.finding import Category
from orchestrator.verify.outcome import Check, CheckOutcome, CheckStatus, Receipt

_VOLATILE = frozenset({"ORCHESTRATOR_EXECUTION", "ORCHESTRATOR_RUN", "TERM"})


def environment_fingerprint(
    check: Check, environment: Mapping[str, str], *, place: str, setup: Sequence[object]
) -> str:
    """Returns a hash of the environment, the machine, the check's program file, `place` and `setup`."""
    variables = sorted((name, value) for name, value in environment.items() if name not in _VOLATILE)
    facts = [variables, _program(check.argv[0], environment), place, setup, sys.platform, platform.node()]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "replace")).hexdigest()


def reusable(
    checks: Sequence[Check], fingerprints: Mapping[str, str], tree: str, receipts: Iterable[Receipt]
) -> dict[str, Receipt]:
    """Returns the receipts that make checks needless, by key.

    Builds run again whenever anything else does: later checks may use what they leave.
    """
    given = {(receipt.tree, receipt.check, receipt.environment): receipt for receipt in receipts}
    found = {
        check.key: receipt
        for check in checks
        if (receipt := given.get((tree, check.key, fingerprints[check.key]))) is not None
    }
    if all(check.key in found for check in checks):
        return found
    builds = {check.key for check in checks if check.category is Category.BUILD}
    return {key: receipt for key, receipt in found.items() if key not in builds}


def receipt_for(outcome: CheckOutcome, tree: str, fingerprint: str) -> Receipt | None:
    """Returns the receipt of a check that passed without any finding, None for every other."""
    if outcome.status is not CheckStatus.PASSED or outcome.findings:
        return None
    return Receipt(tree, outcome.check.key, fingerprint, outcome.tests_run)


def reused(check: Check, receipt: Receipt) -> CheckOutcome:
    """Returns the outcome that a receipt stands for."""
    return CheckOutcome(
        check=check,
        status=CheckStatus.PASSED,
        exit_status=None,
        findings=(),
        duration_s=0.0,
        output_path="",
        detail="passed before on this tree",
        itemised=True,
        tests_run=receipt.tests_run,
        reused=True,
    )


def _program(name: str, environment: Mapping[str, str]) -> list[str | int]:
    path = shutil.which(name, path=environment.get("PATH", os.defpath))
    if path is None:
        return [name]
    facts = os.stat(path)
    return [os.path.realpath(path), facts.st_size, facts.st_mtime_ns, facts.st_ino]
