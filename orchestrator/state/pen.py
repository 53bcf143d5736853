"""Writes what people, programs and agents said into columns, without the secrets in it.

Nothing else in this room turns free text into a column. Ids, paths and refs, which are acted on, and words of
our own stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.model.finding import Finding
from orchestrator.model.json import JsonObject
from orchestrator.model.run import ExecutionProgress, Rounds, Run, RunMetadata, RunProgress
from orchestrator.redaction.finding import redacted
from orchestrator.redaction.redactor import Redactor
from orchestrator.state import codec


class Pen:
    """Takes secrets out of values of the model and gives them as columns."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def text(self, text: str) -> str | bytes:
        """Returns text for a `CAST(? AS TEXT)`."""
        return codec.bindable(self._redactor.text(text))

    def text_or_none(self, text: str | None) -> str | bytes | None:
        """Returns text for a `CAST(? AS TEXT)`, None for none."""
        return None if text is None else self.text(text)

    def texts(self, texts: Sequence[str]) -> str:
        """Returns a list of text as JSON."""
        return codec.dump_list(self._all(texts))

    def clean(self, value: JsonObject) -> JsonObject:
        """Returns a JSON object without secrets."""
        found = self._redactor.json(value)
        return found if isinstance(found, dict) else {}

    def clean_all(self, values: Sequence[JsonObject]) -> list[JsonObject]:
        """Returns several JSON objects without secrets."""
        return [found if isinstance(found, dict) else {} for found in self._redactor.all_json(values)]

    def metadata(self, metadata: RunMetadata) -> str:
        """Returns what is fixed about a run as JSON."""
        return codec.dump(RunMetadata, self._metadata(metadata))

    def run_progress(self, progress: RunProgress) -> str:
        """Returns what a run has reached as JSON."""
        return codec.dump(RunProgress, self._run_progress(progress))

    def execution_progress(self, progress: ExecutionProgress) -> str:
        """Returns how far an attempt has come as JSON."""
        failure = progress.agent_failure
        clean = replace(
            progress,
            over=self._all(progress.over),
            broken=self._all(progress.broken),
            agent_failure=None if failure is None else self._redactor.text(failure),
            rounds=self._rounds(progress.rounds),
        )
        return codec.dump(ExecutionProgress, clean)

    def finding(self, finding: Finding) -> Finding:
        """Returns a finding as it is written; so does its identity go by what is written."""
        return redacted(finding, self._redactor)

    def run(self, run: Run) -> Run:
        """Returns a run as it is written."""
        progress = self._run_progress(run.metadata.progress)
        metadata = replace(self._metadata(run.metadata), progress=progress)
        return replace(run, task=self._redactor.text(run.task), metadata=metadata)

    def _metadata(self, metadata: RunMetadata) -> RunMetadata:
        # Its configuration comes from `freeze`, which leaves secrets out in a way that it can take back.
        yaml = metadata.workflow_yaml
        return replace(
            metadata,
            workflow_yaml=None if yaml is None else self._redactor.text(yaml),
            prompts=tuple((kind, self._redactor.text(text)) for kind, text in metadata.prompts),
        )

    def _rounds(self, rounds: Rounds) -> Rounds:
        text = self._redactor.text
        return replace(rounds, outputs=tuple(replace(each, text=text(each.text)) for each in rounds.outputs))

    def _run_progress(self, progress: RunProgress) -> RunProgress:
        text = self._redactor.text
        return replace(
            progress,
            waiting_for=None if progress.waiting_for is None else text(progress.waiting_for),
            error=None if progress.error is None else text(progress.error),
            notes=self._all(progress.notes),
        )

    def _all(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(map(self._redactor.text, texts))
