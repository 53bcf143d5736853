"""A run as one JSON document: what a checkpoint carries, and what brings a lost run back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from orchestrator.errors import Refused
from orchestrator.model.finding import RecordedFinding
from orchestrator.model.ids import OperationId, RunId, parse_run_id
from orchestrator.model.json import JsonObject
from orchestrator.model.plan import Plan
from orchestrator.model.record import Artifact, ManualIntervention, Operation, OperationKind, OperationStatus
from orchestrator.model.run import Execution, ExecutionProgress, Phase, Run
from orchestrator.state import codec

_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An operation whose journal is spelled in the words of the validator, which needs a type of its own."""

    id: OperationId
    kind: OperationKind
    run_id: RunId | None
    worktree: str
    status: OperationStatus
    facts: dict[str, JsonValue]
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunDocument:
    """Everything the state knows about one run, except its events."""

    schema_version: Literal[1]
    run: Run
    phases: tuple[Phase, ...]
    executions: tuple[Execution, ...]
    findings: tuple[RecordedFinding, ...]
    interventions: tuple[ManualIntervention, ...]
    operations: tuple[OperationRecord, ...]
    artifacts: tuple[Artifact, ...]


def operation_record(operation: Operation) -> OperationRecord:
    """Returns an operation as the document holds it."""
    facts = codec.load_object(codec.dump_object(operation.facts))
    return OperationRecord(
        operation.id,
        operation.kind,
        operation.run_id,
        operation.worktree,
        operation.status,
        codec.adapter(dict[str, JsonValue]).validate_python(facts),
        operation.created_at,
        operation.completed_at,
    )


def operation(record: OperationRecord) -> Operation:
    """Returns the operation of a document."""
    return Operation(
        record.id,
        record.kind,
        record.run_id,
        record.worktree,
        record.status,
        record.facts,
        record.created_at,
        record.completed_at,
    )


def exported(document: RunDocument) -> JsonObject:
    """Returns the document as a JSON object."""
    return codec.plain(RunDocument, document)


def parsed(document: JsonObject) -> RunDocument:
    """Returns the document of a checkpoint, which anybody may have written, so that nothing in it is trusted.

    What belonged to the machine it was written on (processes) is left out.

    Raises:
        Refused: `document-invalid`, `run-id-invalid` or `plan-invalid`.
    """
    try:
        found = codec.adapter(RunDocument).validate_python(json.loads(json.dumps(document)))
    except RecursionError as error:
        raise _invalid("it nests too deeply") from error
    except ValueError as error:
        raise _invalid(str(error).splitlines()[0]) from error
    parse_run_id(found.run.id)
    if not found.run.task.strip():
        raise _invalid("its task is empty")
    if found.phases:
        Plan.of(tuple(phase.plan for phase in found.phases))
    _check_belonging(found)
    _check_objects(found)
    metadata = replace(found.run.metadata, trusted=False)
    return replace(
        found,
        run=replace(found.run, metadata=metadata),
        executions=tuple(replace(one, progress=_without_process(one.progress)) for one in found.executions),
    )


@contextmanager
def unwritable_refused() -> Iterator[None]:
    """Lets what can be read and not be written, as a time before the year 1 in UTC, be refused.

    Raises:
        Refused: `document-invalid`.
    """
    try:
        yield
    except (OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise _invalid(str(error).splitlines()[0]) from error


def _check_belonging(document: RunDocument) -> None:
    owners = {
        *(phase.run_id for phase in document.phases),
        *(execution.run_id for execution in document.executions),
        *(finding.run_id for finding in document.findings),
        *(intervention.run_id for intervention in document.interventions),
        *(operation.run_id for operation in document.operations),
        *(artifact.run_id for artifact in document.artifacts),
    }
    if owners - {document.run.id}:
        raise _invalid(f"it holds parts of another run than {document.run.id}")
    phases = {phase.id for phase in document.phases}
    if any(execution.phase_id not in phases for execution in document.executions):
        raise _invalid("an execution belongs to no phase of it")
    executions = {execution.id for execution in document.executions}
    if any(finding.execution_id not in executions for finding in document.findings):
        raise _invalid("a finding belongs to no execution of it")


def _check_objects(document: RunDocument) -> None:
    """Makes sure that what git is asked for by these names are objects, not options or revisions."""
    metadata = document.run.metadata
    named = [metadata.origin.base, metadata.progress.result, metadata.progress.checkpoint]
    for execution in document.executions:
        named += [execution.progress.checkpoint, execution.progress.tree]
    for oid in named:
        if oid is not None and not _OBJECT_ID.fullmatch(oid):
            raise _invalid(f"{oid[:80]!r} is no object id")


def _without_process(progress: ExecutionProgress) -> ExecutionProgress:
    return replace(progress, process=None)


def _invalid(reason: str) -> Refused:
    return Refused(
        f"The record of a run in a checkpoint cannot be used: {reason}.",
        code="document-invalid",
        hint="Restore its files instead: orchestrator restore CHECKPOINT --into DIR",
    )
