"""Runs what the documentation tells people to type, and holds it to the output it shows."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DEADLINE_S = 120
STILL_S = 0.3

SAMPLE = {
    "shapes.py": '''"""Areas of shapes."""

import os
import sys


def area(width: int, height: int) -> int:
    """Returns the area of a rectangle."""
    return width * height
''',
    "test_shapes.py": """from shapes import area


def test_area_is_width_times_height() -> None:
    assert area(3, 4) == 12
""",
    "pyproject.toml": '[project]\nname = "shapes"\nversion = "1"\n\n[tool.ruff]\nline-length = 100\n',
    ".gitignore": "__pycache__/\n.ruff_cache/\n.pytest_cache/\n",
    # Stands for a slow agent: it stops half way for as long as anybody may want to wait.
    "notes.py": '''"""Writes NOTES.md in two halves, and goes on where it was."""

import pathlib
import time

notes = pathlib.Path("NOTES.md")
if not notes.exists():
    notes.write_text("# Notes\\n")
    print("the first half is written", flush=True)
    time.sleep(600)
notes.write_text(notes.read_text() + "area() takes whole numbers.\\n")
print("the second half is written", flush=True)
''',
}


@dataclass
class Example:
    """One command of a page, what the page shows of its output, and how it shall end."""

    command: str
    line: int
    shown: list[str] = field(default_factory=list)
    interrupted_after: str | None = None
    exit_status: int = 0


def examples(page: Path) -> Iterator[Example]:
    """Yields the `$ ` lines of a page's console blocks, `> ` lines being parts of the command before."""
    current: Example | None = None
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside, before = line == "```console", current
            current = None
            if before is not None:
                yield before
        elif inside and line.startswith("$ "):
            if current is not None:
                yield current
            current = Example(line[2:], number)
        elif current is not None and line.startswith("> "):
            current.command += "\n" + line[2:]
        elif current is not None:
            read_output_line(current, line)


def read_output_line(example: Example, line: str) -> None:
    status = re.fullmatch(r"\(exit status (\d+)\)", line)
    if status:
        example.exit_status = int(status[1])
    elif line == "^C":
        example.interrupted_after = example.shown[-1]
    elif line not in ("", "…"):
        example.shown.append(line)


def as_pattern(shown: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in shown.split("…")))


def run_example(example: Example, directory: Path, environment: dict[str, str]) -> None:
    """Types one command as the page says and compares; `…` stands for anything within a line."""
    # A shell that waits would be ended by the signal itself and hide how the command ended.
    instead_of_shell = "exec " if example.interrupted_after is not None else ""
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec 2>&1\n{instead_of_shell}{example.command}"],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        printed = read_until_end(process, example)
    told = f"line {example.line}: {example.command}\n" + "\n".join(printed)
    assert process.returncode == example.exit_status, told
    left = list(printed)
    for shown in example.shown:
        found = next((line for line in left if as_pattern(shown).fullmatch(line)), None)
        assert found is not None, f"{shown!r} is shown, but not printed by {told}"
        left.remove(found)


def read_until_end(process: subprocess.Popen[bytes], example: Example) -> list[str]:
    """Returns what is printed; presses Ctrl-C once the line is there and nothing more comes."""
    printed = b""
    assert process.stdout is not None
    waits_for = as_pattern(example.interrupted_after) if example.interrupted_after is not None else None
    while True:
        said = waits_for is not None and any(waits_for.fullmatch(line) for line in lines(printed))
        if said and not select.select([process.stdout], [], [], STILL_S)[0]:
            os.killpg(process.pid, signal.SIGINT)
            waits_for = None
        block = os.read(process.stdout.fileno(), 1 << 16)
        if not block:
            break
        printed += block
    process.wait(DEADLINE_S)
    return lines(printed)


def lines(printed: bytes) -> list[str]:
    return printed.decode("utf-8", "replace").splitlines()


@pytest.fixture
def sample(tmp_path: Path, git: Callable[..., str]) -> Path:
    """Returns the repository that the pages speak of: one commit on main, two findings in it."""
    place = tmp_path / "sample"
    place.mkdir()
    for name, text in SAMPLE.items():
        (place / name).write_text(text)
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "A small library")
    return place


def environment_of_tests() -> dict[str, str]:
    """Returns the environment of what is typed; lines that run in it are not counted, which costs a fifth."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/guide.md",
        "docs/migration.md",
        "docs/secrets.md",
        "docs/sessions.md",
        "docs/workflows.md",
    ],
)
def test_every_command_of_the_page_does_what_the_page_shows(page: str, sample: Path) -> None:
    found = list(examples(ROOT / page))

    for example in found:
        run_example(example, sample, environment_of_tests())

    assert found, f"{page} shows no command"


def test_an_example_that_prints_something_else_is_noticed(sample: Path) -> None:
    example = Example("echo one; exit 3", 1, ["two"], exit_status=3)

    with pytest.raises(AssertionError, match="'two' is shown, but not printed"):
        run_example(example, sample, environment_of_tests())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)

    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            assert_leads_somewhere(page, target)


def assert_leads_somewhere(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    place = (page.parent / name).resolve() if name else page
    assert place.exists(), f"{page.name} links to {target}"
    if anchor:
        assert anchor in anchors(place), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Returns what the headings of a page are called in links: lower case, hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_has_the_parts_of_the_template_and_at_most_60_lines(page: Path) -> None:
    text = page.read_text()

    assert len(text.splitlines()) <= 60
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Rejected", "Consequence"]
    assert text.startswith(("# NNNN. ", f"# {page.name[:4]}. "))


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(len(DECISIONS)))


def test_the_tests_that_the_table_of_odd_repositories_names_are_there() -> None:
    rows = (ROOT / "docs" / "migration.md").read_text().partition("| row of facts |")[2].splitlines()[2:]
    table = "\n".join(row.split(" | ")[2] for row in rows if row.startswith("| "))
    elsewhere = {
        "cli": "cli/test_migrate.py",
        "campaign": "campaign/test_every_call_of_migrate.py",
        "nasty": "nasty/test_nasty.py",
        "doctor": "doctor/test_checks.py",
        "tracked": "doctor/test_tracked.py",
        **{name: f"fs/test_{name}.py" for name in ("carry", "lock")},
    }
    named = re.findall(r"`([a-z_]+)\.([a-z0-9_]+)`", table)
    cases = re.findall(r"`migrating\[([a-z0-9_]+)\]`", table)

    assert len(named) > 50
    for place, name in named:
        text = (ROOT / "tests" / elsewhere.get(place, f"migrate/test_{place}.py")).read_text()
        assert f"def test_{name}(" in text, f"{place}.{name}"
    nasty = "".join(path.read_text() for path in (ROOT / "tests" / "nasty").glob("test_*.py"))
    for name in cases:
        assert f"def {name}(" in nasty, name


def test_the_demo_ends_with_a_merge_and_names_branch_and_checkpoint(tmp_path: Path, home: Path) -> None:
    environment = {**environment_of_tests(), "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "demo.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "run demo is merged into main" in done.stdout
    assert "All checks passed!" in done.stdout
    assert re.search(r"^Branch: +orchestrator/demo$", done.stdout, re.MULTILINE)
    assert re.search(r"^Checkpoint: +[0-9a-f]{40}$", done.stdout, re.MULTILINE)


def test_make_demo_starts_the_demo_with_the_python_of_the_set_up() -> None:
    assert "\ndemo: setup\n\t$(BIN)/python tools/demo.py\n" in (ROOT / "Makefile").read_text()
