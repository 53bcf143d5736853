"""Findings without secrets, so that what they are recognised by goes by what is written of them."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model.finding import Finding
from orchestrator.redaction.redactor import Redactor


def redacted(finding: Finding, redactor: Redactor) -> Finding:
    """Returns a finding without secrets in its text, place and rule."""
    text = redactor.text
    return replace(
        finding,
        message=text(finding.message),
        location=text(finding.location),
        rule=text(finding.rule),
        context=text(finding.context),
    )
