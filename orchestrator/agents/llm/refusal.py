"""The error of a model that could not be asked, or did not answer."""

from __future__ import annotations

from orchestrator.errors import Failed


class ModelFailed(Failed):
    """A provider refused, was not reached, or answered nonsense; `status` is that of its HTTP answer."""

    def __init__(self, sentence: str, *, code: str, status: int | None = None) -> None:
        super().__init__(sentence, code=code, hint="Look at `models:` in .orchestrator/workflow.yaml")
        self.status = status


def refused(host: str, status: int, reason: str) -> ModelFailed:
    """Returns the error for an answer that is a refusal."""
    words = f"{host} answered {status}"
    return ModelFailed(f"{words}: {reason}" if reason else words, code="llm-refused", status=status)


def unreachable(host: str, reason: str) -> ModelFailed:
    """Returns the error for a connection that never was, or broke."""
    return ModelFailed(f"cannot connect to {host}: {reason}", code="llm-unreachable")


def nonsense(host: str, what: str) -> ModelFailed:
    """Returns the error for an answer that is none."""
    return ModelFailed(f"{host} answered {what}", code="llm-answer")
