"""What a run that came from elsewhere would run, compared with what the user has approved here.

Its configuration was frozen on another machine and came back through refs or a file that others can write.
"""

from __future__ import annotations

import hashlib
import json
import os

from orchestrator.config.frozen import thaw
from orchestrator.config.prompts import SuppliedPrompt, prompt_name
from orchestrator.config.schema import Config
from orchestrator.config.trust import RunnableCommand, commands, place_key
from orchestrator.engine.context import EngineContext
from orchestrator.model.run import Run


def unvouched(
    context: EngineContext, run: Run, approved: Config, prompts: tuple[SuppliedPrompt, ...] = ()
) -> tuple[RunnableCommand, ...]:
    """Returns what a run would start that the configuration here, which the user has approved, does not.

    Nothing for a run that was created here: what the user typed is trusted.

    Raises:
        Refused: `frozen-config-invalid`.
    """
    if run.metadata.trusted:
        return ()
    known = commands(approved)
    typed = run.metadata.options.command
    found = [RunnableCommand("--command", typed)] if typed is not None else []
    found += [each for each in commands(thaw(run.metadata.config)) if each not in known]
    approved_prompts = {prompt.told() for prompt in prompts}
    brought = (SuppliedPrompt(kind, prompt_name(kind), text).told() for kind, text in run.metadata.prompts)
    found += [each for each in brought if each not in approved_prompts]
    return tuple(found)


def vouching_key(context: EngineContext, run: Run) -> str:
    """Returns the key under which exactly this run is approved in this checkout."""
    repository = context.repository
    place = place_key(os.path.realpath(repository.checkout), repository.git_dir_identity)
    options = run.metadata.options
    typed = list(options.command or ())
    content: list[object] = [
        run.id,
        run.metadata.config,
        typed,
        options.agent,
        options.workflow,
    ]
    if run.metadata.prompts:
        content.append([list(each) for each in run.metadata.prompts])
    return f"{place}-{hashlib.sha256(json.dumps(content).encode()).hexdigest()}"
