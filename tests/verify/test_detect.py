from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from orchestrator.config.schema import Check
from orchestrator.model.finding import Category
from orchestrator.verify.detect import Detected, DetectedSetup, detect, detect_setup, has_module


def everything(name: str) -> str | None:
    return f"/usr/bin/{name}"


def nothing(name: str) -> str | None:
    return None


def yes(python: str, module: str) -> bool:
    return True


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def found(root: Path) -> dict[str, list[str]]:
    return {
        f"{each.category}:{each.reason}": list(each.argv)
        for each in detect(root, find_program=everything, has_module=yes)
    }


def test_an_empty_project_has_no_checks(tmp_path: Path) -> None:
    assert detect(tmp_path) == ()
    assert detect_setup(tmp_path) == ()


@pytest.mark.parametrize("name", ["tests/test_a.py", "a_test.py", "pkg/deep/test_b.py"])
def test_pytest_is_detected_where_test_files_are(tmp_path: Path, name: str) -> None:
    put(tmp_path, {name: "", "pyproject.toml": ""})

    (check,) = detect(tmp_path, find_program=everything, has_module=yes)

    assert check.argv == ("python", "-m", "pytest", "-q", "--junitxml={report}")
    assert check.reason == f"test file {name}"
    assert check.entry() == {"run": list(check.argv), "report": "junit"}


def test_test_files_of_others_and_configuration_alone_are_no_tests(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "pyproject.toml": "[tool.pytest.ini_options]\n",
            "venv/lib/test_x.py": "",
            ".venv/test_x.py": "",
            "node_modules/a/test_x.py": "",
            ".orchestrator/worktrees/r/main/test_x.py": "",
            "contest_a.py": "",
        },
    )

    assert detect(tmp_path, find_program=everything, has_module=yes) == ()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": "[tool.ruff]\n"}, "lint:[tool.ruff] in pyproject.toml"),
        ({"ruff.toml": ""}, "lint:ruff.toml"),
        ({".ruff.toml": ""}, "lint:.ruff.toml"),
    ],
)
def test_ruff_is_detected_where_it_is_configured(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    put(tmp_path, files)

    (check,) = detect(tmp_path, find_program=everything, has_module=yes)

    assert f"{check.category}:{check.reason}" == expected
    assert check.entry() == {"run": ["ruff", "check", "--output-format", "json", "."], "parse": "ruff"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"pyproject.toml": "[tool.mypy]\nstrict = true\n"}, ["mypy", "."]),
        ({"pyproject.toml": '[tool.mypy]\nfiles = ["a"]\n'}, ["mypy"]),
        ({"mypy.ini": "[mypy]\nfiles = a\n"}, ["mypy"]),
        ({".mypy.ini": "[mypy]\n"}, ["mypy", "."]),
        ({"setup.cfg": "[mypy]\npackages = a\n"}, ["mypy"]),
    ],
)
def test_mypy_is_detected_where_it_is_configured(
    tmp_path: Path, files: dict[str, str], words: list[str]
) -> None:
    put(tmp_path, files)

    (check,) = detect(tmp_path, find_program=everything, has_module=yes)

    assert (check.category, check.entry()) == (Category.LINT, words)


def test_scripts_of_a_node_project_are_detected_with_its_own_tool(tmp_path: Path) -> None:
    scripts = {"test": "vitest", "lint": "eslint .", "build": "tsc", "start": "x"}
    put(tmp_path, {"package.json": json.dumps({"scripts": scripts}), "pnpm-lock.yaml": ""})

    words = [each.argv for each in detect(tmp_path, find_program=everything, has_module=yes)]

    assert words == [("pnpm", "run", "build"), ("pnpm", "run", "test"), ("pnpm", "run", "lint")]


def test_the_test_script_that_npm_writes_is_none(tmp_path: Path) -> None:
    script = 'echo "Error: no test specified" && exit 1'
    put(tmp_path, {"package.json": json.dumps({"scripts": {"test": script, "build": " ", "lint": 3}})})

    assert detect(tmp_path, find_program=everything, has_module=yes) == ()


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ("package-lock.json", ("npm", "ci")),
        ("yarn.lock", ("yarn", "install", "--frozen-lockfile")),
        ("pnpm-lock.yaml", ("pnpm", "install", "--frozen-lockfile")),
    ],
)
def test_setup_of_a_node_project_follows_its_lock_file(
    tmp_path: Path, lock: str, words: tuple[str, ...]
) -> None:
    put(tmp_path, {"package.json": '{"name": "x"}', lock: ""})

    assert detect_setup(tmp_path, find_program=everything) == (DetectedSetup(words, lock),)
    assert not detect_setup(tmp_path, find_program=nothing)[0].available


def test_a_node_project_without_lock_file_gets_no_setup(tmp_path: Path) -> None:
    put(tmp_path, {"package.json": '{"name": "x"}'})

    assert detect_setup(tmp_path, find_program=everything) == ()


def test_declared_targets_of_a_makefile_are_detected(tmp_path: Path) -> None:
    text = "test := 1\nCC = x\n.PHONY: check\nbuild: a\n\tcc\ncheck:: build\n\tx\nlint :\n\ty\n"
    put(tmp_path, {"Makefile": text})

    assert found(tmp_path) == {
        "build:target build in Makefile": ["make", "build"],
        "test:target check in Makefile": ["make", "check"],
        "lint:target lint in Makefile": ["make", "lint"],
    }


def test_a_makefile_that_only_assigns_declares_nothing(tmp_path: Path) -> None:
    put(tmp_path, {"Makefile": "test := 1\nlint ::= 2\n# build: x\n\tcheck: y\n"})

    assert found(tmp_path) == {}


def test_a_languages_own_tool_is_preferred_to_the_makefile(tmp_path: Path) -> None:
    put(tmp_path, {"makefile": "test:\n\nlint:\n", "test_a.py": ""})

    assert found(tmp_path) == {
        "test:test file test_a.py": ["python", "-m", "pytest", "-q", "--junitxml={report}"],
        "lint:target lint in makefile": ["make", "lint"],
    }


def test_a_program_that_is_not_installed_is_told(tmp_path: Path) -> None:
    put(tmp_path, {"test_a.py": "", "ruff.toml": "", "mypy.ini": "", "Makefile": "build:\n"})
    put(tmp_path, {"package.json": '{"scripts": {"build": "x"}}'})

    checks = detect(tmp_path, find_program=nothing)

    assert [check.available for check in checks] == [False] * len(checks)
    assert checks[0].argv[0] == "python3"


def test_python3_is_used_where_there_is_no_python(tmp_path: Path) -> None:
    put(tmp_path, {"test_a.py": ""})

    (check,) = detect(tmp_path, find_program=lambda name: "/x" if name == "python3" else None, has_module=yes)

    assert (check.argv[0], check.available) == ("python3", True)


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": "not toml ["},
        {"pyproject.toml": "tool = 3\n"},
        {"package.json": "[" * 100_000},
        {"package.json": '["scripts"]'},
        {"package.json": '{"scripts": ["test"]}'},
        {"package.json": "\xff\x00"},
        {"setup.cfg": "no section\n"},
        {"package.json/scripts": "a directory"},
        {"pyproject.toml": "a" * (2 << 20)},
    ],
)
def test_files_that_cannot_be_read_are_as_good_as_absent(tmp_path: Path, files: dict[str, str]) -> None:
    put(tmp_path, files)

    assert detect(tmp_path, find_program=everything, has_module=yes) == ()
    assert detect_setup(tmp_path, find_program=everything) == ()


def test_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    put(tmp_path, {"other/test_a.py": "", "pyproject.toml": "[tool.ruff]\n"})
    (root / "tests").symlink_to(tmp_path / "other")
    (root / "pyproject.toml").symlink_to(tmp_path / "pyproject.toml")

    assert detect(root, find_program=everything, has_module=yes) == ()


def test_every_entry_is_valid_configuration(tmp_path: Path) -> None:
    put(tmp_path, {"test_a.py": "", "ruff.toml": "", "mypy.ini": "", "Makefile": "build:\n"})

    for each in detect(tmp_path, find_program=everything, has_module=yes):
        entry = each.entry()
        check = Check.model_validate(entry if isinstance(entry, dict) else {"run": entry})
        assert check.run == each.argv


def test_a_plain_command_is_a_list_of_words() -> None:
    assert Detected(Category.BUILD, ("make",), "x").entry() == ["make"]


def test_pytest_is_available_only_where_the_interpreter_has_it(tmp_path: Path) -> None:
    put(tmp_path, {"test_a.py": ""})
    asked: list[tuple[str, str]] = []

    def no(python: str, module: str) -> bool:
        asked.append((python, module))
        return False

    (check,) = detect(tmp_path, find_program=everything, has_module=no)

    assert not check.available
    assert asked == [("python", "pytest")]


def test_a_module_of_the_project_is_not_taken_for_an_installed_one(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"trap_module.py": "raise SystemExit(0)"})
    monkeypatch.chdir(tmp_path)

    assert not has_module(sys.executable, "trap_module")
    assert has_module(sys.executable, "json")
    assert not has_module("no-such-interpreter", "json")
