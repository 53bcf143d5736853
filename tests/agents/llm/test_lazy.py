from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("acp", "pydantic_ai", "openai", "anthropic", "google.genai", "httpx2", "genai_prices")
CODE = """
import importlib, pkgutil, sys
for module in ({modules}):
    importlib.import_module(module)
print([name for name in {heavy} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "modules",
    [
        "each.name for each in pkgutil.walk_packages("
        "importlib.import_module('orchestrator.cli').__path__, 'orchestrator.cli.')",
        "['orchestrator.workspace', 'orchestrator.agents.registry', 'orchestrator.agents.llm.making', "
        "'orchestrator.agents.llm.worker', 'orchestrator.agents.llm.ollama', 'orchestrator.agents.pricing']",
    ],
    ids=["every command", "whatever makes agents"],
)
def test_nothing_of_a_provider_is_imported_before_a_turn(modules: str) -> None:
    code = CODE.format(modules=modules, heavy=HEAVY)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
