from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.model.ids import ObjectId
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.verify.bring import bring, files_to_bring
from orchestrator.verify.checks import CheckRequest, check_tree, make_ready
from orchestrator.verify.outcome import CheckStatus
from tests.conftest import GitCall
from tests.verify.conftest import RequestFor, python

INSTALL = "import os, sys; os.makedirs('node_modules/x', exist_ok=True); " \
    "open('node_modules/x/tool', 'w').write('honest'); open('one.egg', 'w').write('e'); " \
    "os.path.lexists('node_modules/link') or os.symlink('x', 'node_modules/link'); " \
    "open(sys.argv[1], 'a').write('i')"  # fmt: skip
USE = "assert open('node_modules/x/tool').read() == 'honest'; assert open('one.egg').read() == 'e'"


@pytest.fixture
def count(tmp_path: Path) -> Path:
    file = tmp_path / "installs"
    file.write_text("")
    return file


def installing(request_for: RequestFor, count: Path, code: str = USE, **options: object) -> CheckRequest:
    setup = {"setup": [python(INSTALL, str(count))]}
    return request_for({"test": [{"run": python(code)}]}, worktrees=setup, **options)


def change(repository: Path, git: GitCall, name: str, text: str) -> None:
    (repository / name).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", name)


def passed(request: CheckRequest) -> bool:
    report = check_tree(request)
    return [outcome.status for outcome in report.outcomes] == [CheckStatus.PASSED]


def test_what_setup_installed_is_kept_for_the_next_tree_while_lock_files_are_the_same(
    request_for: RequestFor, repository: Path, git: GitCall, count: Path
) -> None:
    first = passed(installing(request_for, count))
    change(repository, git, "app.py", "print(2)\n")
    second = passed(installing(request_for, count, USE + "; assert open('app.py').read() == 'print(2)\\n'"))

    assert (first, second, count.read_text()) == (True, True, "i")


@pytest.mark.parametrize("name", ["requirements-dev.txt", "uv.lock", "sub/package-lock.json", "go.sum"])
def test_setup_runs_again_when_a_lock_file_changed(
    request_for: RequestFor, repository: Path, git: GitCall, count: Path, name: str
) -> None:
    passed(installing(request_for, count))
    (repository / "sub").mkdir()
    change(repository, git, name, "x==2\n")

    again = passed(installing(request_for, count))

    assert (again, count.read_text()) == (True, "ii")


@pytest.mark.parametrize(
    "tamper",
    [
        "open('node_modules/x/tool', 'w').write('pleased')",
        "import os; os.remove('node_modules/x/tool')",
        "import os; os.remove('one.egg')",
        "open('one.egg', 'w').write('f')",
        "import os; os.remove('node_modules/link'); os.symlink('/', 'node_modules/link')",
        "import os; s = os.stat('node_modules/x/tool'); open('node_modules/x/tool', 'w').write('honesT'); "
        "os.utime('node_modules/x/tool', ns=(s.st_atime_ns, s.st_mtime_ns))",
        "import shutil; shutil.rmtree('node_modules')",
    ],
)
def test_an_installed_program_that_a_check_changed_is_installed_anew(
    request_for: RequestFor, count: Path, tamper: str
) -> None:
    passed(installing(request_for, count, tamper))

    honest = passed(installing(request_for, count))

    assert (honest, count.read_text()) == (True, "ii")


def test_what_checks_add_to_installed_programs_is_gone_the_next_time(
    request_for: RequestFor, count: Path
) -> None:
    passed(installing(request_for, count, "open('node_modules/x/cache', 'w'); open('node_modules/top', 'w')"))

    clean = "import os; assert os.listdir('node_modules/x') == ['tool']; " + USE
    again = passed(installing(request_for, count, clean))

    assert (again, count.read_text()) == (True, "i")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', '{"key": "KEY", "entries": 3}'])
def test_a_damaged_record_of_what_was_installed_is_as_good_as_none(
    request_for: RequestFor, trees: IsolatedTrees, count: Path, damage: str
) -> None:
    passed(installing(request_for, count))
    record = trees.root / ".checks" / "run-1" / ".tree" / "installed.json"
    record.write_text(damage.replace("KEY", json.loads(record.read_text())["key"]))

    assert passed(installing(request_for, count))
    assert count.read_text() == "ii"


@pytest.mark.parametrize("entry", ["../../../../victim", "/victim", ".git", "a/../../b", ""])
def test_a_forged_record_cannot_lead_out_of_the_tree(
    request_for: RequestFor, trees: IsolatedTrees, repository: Path, count: Path, entry: str
) -> None:
    passed(installing(request_for, count))
    victim = trees.root.parent / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    record = trees.root / ".checks" / "run-1" / ".tree" / "installed.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "entries": [entry], "files": {}}))

    again = passed(installing(request_for, count))

    assert (again, count.read_text()) == (True, "ii")
    assert (victim / "file").read_text() == "precious"


def test_an_installed_entry_that_the_next_tree_tracks_itself_is_installed_anew(
    request_for: RequestFor, repository: Path, git: GitCall, count: Path
) -> None:
    passed(installing(request_for, count))
    change(repository, git, "one.egg", "tracked\n")

    check_tree(installing(request_for, count))

    assert count.read_text() == "ii"


def test_tracked_files_that_setup_changes_are_put_back_before_the_checks(
    request_for: RequestFor, count: Path
) -> None:
    setup = {"setup": [python("open('app.py', 'a').write('# locked')")]}
    code = "assert open('app.py').read() == 'print(1)\\n'"

    report = check_tree(request_for({"test": [{"run": python(code)}]}, worktrees=setup))

    assert [(outcome.status.value, outcome.findings) for outcome in report.outcomes] == [("passed", ())]


def test_a_kill_during_setup_leaves_nothing_that_the_next_call_trips_over(
    request_for: RequestFor, count: Path, trees: IsolatedTrees
) -> None:
    def power_cut(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_tree(installing(request_for, count), on_event=power_cut)

    assert passed(installing(request_for, count))
    assert sorted(os.listdir(trees.root / ".checks" / "run-1")) == [".tree", "tree"]


def test_ignored_files_are_brought_into_the_clean_tree_and_count_as_such(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    change(repository, git, ".gitignore", ".env\ncerts/\n")
    (repository / ".env").write_text("KEY=1\n")
    (repository / "sub").mkdir()
    (repository / "sub" / ".env").write_text("KEY=2\n")
    (repository / "certs").mkdir()
    (repository / "certs" / "a.pem").write_text("pem")
    code = "assert open('.env').read() + open('sub/.env').read() == 'KEY=1\\nKEY=2\\n'; open('certs/a.pem')"

    report = check_tree(
        request_for({"test": [{"run": python(code)}]}, worktrees={"bring": [".env", "certs/"]})
    )

    assert [outcome.status for outcome in report.outcomes] == [CheckStatus.PASSED]


def test_only_plain_untracked_files_of_the_checkout_are_brought(
    trees: IsolatedTrees, repository: Path, git: GitCall
) -> None:
    change(repository, git, "tracked.env", "t")
    (repository / "plain.env").write_text("p")
    (repository / "link.env").symlink_to("/etc/passwd")
    (repository / "dir").symlink_to("/etc")
    (repository / ".orchestrator" / "worktrees").mkdir(parents=True)
    (repository / ".orchestrator" / "worktrees" / "inner.env").write_text("ours")
    nested = repository / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "deep.env").write_text("n")

    found = files_to_bring(trees.repository, ["*.env", "dir/**"])

    assert found == ("plain.env",)
    assert files_to_bring(trees.repository, []) == ()


def test_no_link_is_followed_when_files_are_brought(tmp_path: Path) -> None:
    checkout, tree, outside = tmp_path / "checkout", tmp_path / "tree", tmp_path / "outside"
    for place in (checkout / "certs", checkout / "in", tree, outside):
        place.mkdir(parents=True)
    (checkout / "certs" / "a").write_text("new")
    (checkout / ".env").write_text("new")
    (checkout / "in" / "x").write_text("new")
    (checkout / "blocked").write_text("new")
    (checkout / "linked").symlink_to(checkout / ".env")
    (outside / "a").write_text("victim")
    (tree / "certs").symlink_to(outside)
    (tree / ".env").symlink_to(outside / "a")
    (tree / "blocked").mkdir()
    (tree / "in").mkdir()
    (tree / "in" / "x").write_text("old")

    left = bring(checkout, tree, ["certs/a", ".env", "in/x", "blocked", "linked", "missing"])

    assert left == ("certs/a", ".env", "blocked", "linked", "missing")
    assert (outside / "a").read_text() == "victim"
    assert (tree / "in" / "x").read_text() == "new"


def test_an_agents_tree_is_made_ready_once(
    request_for: RequestFor, trees: IsolatedTrees, count: Path, git: GitCall, repository: Path
) -> None:
    (repository / ".env").write_text("KEY=1\n")
    request = request_for({}, worktrees={"setup": [python(INSTALL, str(count))], "bring": [".env"]})
    tree = trees.create(request.run_id, "main", ObjectId(git(repository, "rev-parse", "HEAD")))

    problems = [make_ready(request, tree), make_ready(request, tree)]

    assert problems == [None, None]
    assert count.read_text() == "i"
    assert (tree.path / ".env").read_text() == "KEY=1\n"
    assert (tree.path / "node_modules" / "x" / "tool").exists()


def test_setup_that_fails_in_an_agents_tree_is_told_and_tried_again(
    request_for: RequestFor, trees: IsolatedTrees, git: GitCall, repository: Path
) -> None:
    request = request_for({}, worktrees={"setup": [["no-such-installer"]]})
    tree = trees.create(request.run_id, "main", ObjectId(git(repository, "rev-parse", "HEAD")))

    first, second = make_ready(request, tree), make_ready(request, tree)

    assert first is not None
    assert second is not None
    assert "no-such-installer" in first.reason
    assert not first.cancelled
