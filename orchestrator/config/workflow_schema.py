"""Declares what `workflow.yaml` says of workflows and their steps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestrator.config.section import (
    Approve,
    Count,
    Name,
    Pattern,
    Sandbox,
    Seconds,
    SecretName,
    Section,
    Text,
    later,
)


class Step(Section):
    """One turn of one agent."""

    agent: Name | None = Field(
        None,
        description="The agent that takes the step; null: the one that `roles` names for such a task, else "
        "the first one found on PATH.",
    )
    task: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "implement",
        description="The kind of work: implement, review, refine, suggestions, test, document, fix, plan, or "
        "your own word. Review and suggestions are answered with findings.",
    )
    description: Text = Field("", description="Said to people and to the agent.")
    optional: bool = Field(False, description="Whether the workflow goes on when the step fails.")
    prompt: Text | None = Field(
        None,
        description="What the agent is asked instead of the run's task; placeholders such as `{task}`, "
        "`{findings}` and `{outputs.review}` are replaced. null: the run's task.",
    )
    model: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The model for this step; null: the agent's."
    )
    timeout_s: Seconds | None = Field(
        None, description="Seconds after which the step is ended; null: the agent's."
    )
    retries: Count | None = Field(
        None, description="Repetitions of a step whose agent broke; null: `execution.max_retries`."
    )
    when: str | None = later(None, "Condition under which the step is taken.")
    needs: tuple[str, ...] = later((), "Steps that come before.")
    parallel: tuple[Step, ...] = later((), "Steps taken side by side.")
    uses: str | None = later(None, "A step defined elsewhere.")
    approve: Approve | None = later(None, "What a person must approve in this step.")
    secrets: tuple[SecretName, ...] = Field(
        (), description="Names of secrets that its agent receives in this step, beside the agent's own."
    )
    sandbox: Sandbox | None = later(None, "Whether the step's processes are confined.")
    allowed_paths: tuple[Pattern, ...] = later((), "Patterns of files that the step may change.")


class Workflow(Section):
    """The steps in which a phase is worked on."""

    steps: tuple[Step, ...] = Field(min_length=1, description="The steps, taken one after another.")
    max_iterations: Annotated[int, Field(ge=1, le=100)] = Field(
        1,
        description="Rounds through the steps at most. There is no further one when the gates hold, when one "
        "changed nothing, or when it brought too few suggestions.",
    )
    min_suggestions_threshold: Count = Field(
        1, description="Another round is made while one brings at least so many findings of reviewers."
    )
