"""What must fit together across sections of the file: agents and models, tools and their names."""

from __future__ import annotations

from orchestrator.config import fields
from orchestrator.config.agent_schema import OWN_TOOLS
from orchestrator.config.document import Leaf, Node, Table
from orchestrator.config.merge import at
from orchestrator.config.origin import Problem, printable

_OF_OWN = ("description", "parameters", "run")


def of_models(root: Table) -> list[Problem]:
    """Returns a problem for each agent of kind llm, and each of its steps, whose model is not in `models`."""
    known = set(_entries(root, "models"))
    agents = _entries(root, "agents")
    of_kind = {name for name, agent in agents.items() if _text(agent, "kind") == "llm"} | {"llm"}
    asked = [agents[name] for name in sorted(of_kind & set(agents))]
    asked += [step for step in _steps(root) if _text(step, "agent") in of_kind]
    return [problem for each in asked for problem in _unknown_model(at(each, ("model",)), known)]


def of_tools(root: Table) -> list[Problem]:
    """Returns a problem for each tool that says too little, or more than the name of ours may."""
    found: list[Problem] = []
    for name, tool in _entries(root, "tools").items():
        given = tool.entries if isinstance(tool, Table) else {}
        if name in OWN_TOOLS:
            found += [
                Problem(given[key].key, f"`tools.{name}` is a tool of ours: only `permission` can be set")
                for key in _OF_OWN
                if key in given
            ]
        elif isinstance(tool, Table):
            missing = [key for key in ("description", "run") if key not in given]
            found += [Problem(tool.origin, f"`tools.{printable(name)}` needs `{key}`") for key in missing]
    return found


def _unknown_model(model: Node | None, known: set[str]) -> list[Problem]:
    if not isinstance(model, Leaf) or not isinstance(model.value, str) or model.value in known:
        return []
    near = fields.nearest(model.value, sorted(known))
    meant = f"; did you mean `{near}`?" if near else ""
    return [Problem(model.origin, f"there is no `{printable(model.value)}` in `models`{meant}")]


def _entries(root: Table, section: str) -> dict[str, Node]:
    table = at(root, (section,))
    return {name: entry.node for name, entry in table.entries.items()} if isinstance(table, Table) else {}


def _steps(root: Table) -> list[Node]:
    found = [at(workflow, ("steps",)) for workflow in _entries(root, "workflows").values()]
    return [
        step
        for steps in found
        if steps is not None and not isinstance(steps, Leaf | Table)
        for step in steps.items
    ]


def _text(node: Node, key: str) -> str:
    leaf = at(node, (key,))
    return leaf.value if isinstance(leaf, Leaf) and isinstance(leaf.value, str) else ""
