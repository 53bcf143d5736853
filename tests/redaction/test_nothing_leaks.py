"""An agent does all it can with its secrets; afterwards none of them stands in anything of ours."""

from __future__ import annotations

import base64
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from orchestrator.redaction.forms import forms_of
from tests.cli.conftest import Answer, here, process
from tests.conftest import GitCall

PLAIN = "c4n4ryV4lue7hatN0bodyM4ySee"
ODD = "pa$$\"w/o+r\\d&<é>=%'x y~z"
LINES = "first-line-of-the-key\nsecond-line-of-the-key"
SHORT = "zq7xk"
SECRETS = {"DEPLOY_TOKEN": PLAIN, "DB_PASSWORD": ODD, "SIGNING_KEY": LINES, "SHORT_KEY": SHORT}
BROUGHT = "KEY=c4n4ryV4lue7hatN0bodyM4ySee\n"

AGENT = r"""
import base64, json, os, subprocess, sys, time
from pathlib import Path
from urllib.parse import quote, quote_plus

outside = Path(sys.argv[1])
secrets = [os.environ[name] for name in ("DEPLOY_TOKEN", "DB_PASSWORD", "SIGNING_KEY")]

def forms(value):
    raw = value.encode()
    yield value
    yield json.dumps({"key": value})
    yield json.dumps({"key": value}, ensure_ascii=False)
    yield json.dumps(value).replace("/", "\\/")
    yield json.dumps(json.dumps([value]))
    yield "".join("\\u%04x" % ord(character) for character in value)
    yield quote(value)
    yield quote(value, safe="")
    yield quote_plus(value)
    yield "".join("%%%02x" % byte for byte in raw)
    for before in (b"", b"a", b"ab"):
        yield base64.b64encode(before + raw + b"after").decode()
        yield base64.urlsafe_b64encode(before + raw).decode()
    yield base64.encodebytes(raw * 5).decode()
    yield raw.hex()
    yield raw.hex().upper()

argv = b""
for entry in Path("/proc").glob("[0-9]*/cmdline"):
    try:
        argv += entry.read_bytes()
    except OSError:
        pass
with open(outside / "argv", "ab") as file:
    file.write(argv)

for stream in (sys.stdout, sys.stderr):
    for value in secrets:
        for form in forms(value):
            stream.write("log: " + form + "\n")
            stream.flush()
            for character in form:
                stream.write(character)
                stream.flush()
            stream.write("\n")
        sys.stdout.flush()
for at, character in enumerate(secrets[0]):
    (sys.stdout if at % 2 else sys.stderr).write(character)
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.02)

name = secrets[0]
Path("leak.txt").write_text("\n".join(form for value in secrets for form in forms(value)))
Path(f"{name}.txt").write_text("in the name")
Path(f"dir-{name}").mkdir(exist_ok=True)
Path(f"dir-{name}", "file").write_text("in the name of a directory")
git = ["git", "-c", "user.name=An Agent", "-c", "user.email=agent@example.invalid"]
subprocess.run([*git, "checkout", "-q", "-B", f"branch-{name}"], check=True)
subprocess.run([*git, "add", "-A"], check=True)
subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", f"commit with {name}"], check=True)
calls = outside / "calls"
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
if len(calls.read_text()) % 2 == 0:
    sys.exit(f"failed with {name} and {secrets[1]}")
"""

CHECK = r"""
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr
text = Path("leak.txt").read_text()
print(text)
failure = f'<failure message={quoteattr(text[:60])}>{quoteattr(text)}</failure>'
Path(sys.argv[1]).write_text(f'<testsuite><testcase name="t" classname="c">{failure}</testcase></testsuite>')
sys.exit(1)
"""


def every_form() -> frozenset[bytes]:
    """Returns the forms by the encoders themselves, apart from the room under test, and those it lists."""
    found: set[bytes] = set()
    for value in (PLAIN, ODD, LINES, *LINES.split("\n")):
        raw = value.encode()
        texts = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        texts |= {text.replace("/", "\\/") for text in texts}
        texts |= {quote(value), quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper()}
        found |= {text.encode() for text in texts}
        for before in range(3):
            core = base64.b64encode(bytes(before) + raw)[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
            found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
        found |= forms_of(value)
    return frozenset(form for form in found if len(form) >= 8)


FORMS = every_form()


def leaked_in(data: bytes) -> list[bytes]:
    return [form for form in FORMS if form in data]


def configured() -> str:
    """Returns the agent's line for secrets that the user has written into the configuration."""
    return f"env: {json.dumps(SECRETS)}"


def stored(repository: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Puts the secrets into both stores and a variable, and returns the agent's line that lists them."""
    for name, more in (("DEPLOY_TOKEN", ()), ("DB_PASSWORD", ("--global",)), ("SHORT_KEY", ())):
        done = here("secrets", "set", name, *more, cwd=repository, stdin=SECRETS[name])
        assert done.status == 0, done.err
    monkeypatch.setenv("ORCHESTRATOR_SECRET_SIGNING_KEY", LINES)
    return f"secrets: {json.dumps(list(SECRETS))}"


@pytest.fixture(params=["configuration", "store"])
def leaky(
    repository: Path,
    tmp_path: Path,
    git: GitCall,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Path:
    """Returns a repository whose agent leaks what is in the configuration, or in the stores."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "agent.py").write_text(AGENT)
    (outside / "check.py").write_text(CHECK)
    (repository / ".gitignore").write_text(".env\n")
    (repository / ".env").write_text(BROUGHT)
    git(repository, "add", ".gitignore")
    git(repository, "commit", "-q", "-m", "ignore")
    assert here("init", "--trust", cwd=repository).status == 0
    given = configured() if request.param == "configuration" else stored(repository, monkeypatch)
    command = json.dumps([sys.executable, str(outside / "agent.py"), str(outside)])
    check = json.dumps([sys.executable, str(outside / "check.py"), "{report}"])
    (repository / ".orchestrator" / "workflow.yaml").write_text(
        textwrap.dedent(f"""\
            version: 1
            agents:
              leaky: {{kind: command, command: {command}, {given}}}
            workflows: {{default: [{{agent: leaky, task: implement}}]}}
            execution: {{retry_backoff_s: 0, max_retries: 1}}
            worktrees: {{bring: [".env"]}}
            logging: {{level: debug}}
            verify: {{test: [{{run: {check}, report: junit}}]}}
            """)
    )
    return repository


def runs_and_looks(project: Path) -> Iterator[Answer]:
    """Yields what every command prints that tells of runs, in words and in JSON."""
    yield process("run", "-", "--run-id", "a", "--trust", "-v", cwd=project, stdin=f"deploy with {PLAIN}")
    yield process("run", "deploy it", "--run-id", "b", "--trust", "--json", cwd=project)
    yield process("resume", "a", "--trust", "-v", cwd=project)
    for words in (
        ["status"],
        ["status", "a"],
        ["log", "a"],
        ["findings", "a"],
        ["report", "a"],
        ["interventions"],
        ["checkpoints", "a"],
        ["diff", "a"],
        ["ops"],
        ["config", "show"],
        ["doctor"],
        ["trust"],
    ):
        yield here(*words, cwd=project)
        yield here(*words, "--json", cwd=project)


def files_below(place: Path, *, but: tuple[Path, ...] = ()) -> Iterator[Path]:
    for directory, names, files in os.walk(place):
        here = Path(directory)
        names[:] = [name for name in names if here / name not in but]
        yield from (here / name for name in (*names, *files))


def content_of(path: Path) -> bytes:
    return os.fsencode(path) + b"\0" + (path.read_bytes() if path.is_file() else b"")


def test_no_form_of_a_secret_is_left_anywhere_but_in_the_agents_own_files(
    leaky: Path, home: Path, tmp_path: Path, git: GitCall
) -> None:
    answers = list(runs_and_looks(leaky))

    ours = leaky / ".orchestrator"
    trees = tuple(tree for run in (ours / "worktrees").glob("*") for tree in run.glob("[!.]*"))

    assert "[redacted:DB_PASSWORD]" in answers[0].err
    assert (tmp_path / "outside" / "calls").read_text().startswith("xxx")
    for answer in answers:
        assert leaked_in((answer.out + answer.err).encode()) == []
    for path in files_below(ours, but=trees):
        if path != ours / "workflow.yaml":  # the user wrote them there
            assert leaked_in(content_of(path)) == [], path
            assert SHORT.encode() not in content_of(path), path
    assert [path for path in files_below(home) if leaked_in(content_of(path))] == []
    assert leaked_in((tmp_path / "outside" / "argv").read_bytes()) == []
    refs = git(leaky, "for-each-ref", "--format=%(refname)")
    assert "refs/orchestrator/runs/a" in refs
    assert leaked_in(refs.encode()) == []
    for ref in ("refs/orchestrator/runs/a", "refs/orchestrator/runs/b"):
        for commit in git(leaky, "rev-list", "--first-parent", ref, "--author=orchestrator").split():
            assert leaked_in(git(leaky, "cat-file", "commit", commit).encode()) == []
            papers = git(leaky, "cat-file", "blob", f"{commit}:run.json")
            assert leaked_in(papers.encode()) == []
            assert SHORT not in papers
            assert ".env" not in git(leaky, "ls-tree", "-r", "--name-only", commit)


def test_a_checkpoint_that_holds_a_secret_is_kept_marked_and_reported(leaky: Path, git: GitCall) -> None:
    assert here("run", "deploy it", "--run-id", "b", "--trust", cwd=leaky).status == 1

    newest = git(leaky, "rev-parse", "refs/orchestrator/runs/b")
    findings = here("findings", "b", "--json", cwd=leaky).json["findings"]
    manifest = json.loads((leaky / ".orchestrator" / "checkpoints" / "b.json").read_text())

    assert "Orchestrator-Local: true" in git(leaky, "log", "-1", "--format=%B", newest)
    assert json.loads(git(leaky, "cat-file", "blob", f"{newest}:run.json"))["local_only"] is True
    assert all(entry["local_only"] for entry in manifest["checkpoints"])
    assert "(holds a secret: local only)" in here("checkpoints", "b", cwd=leaky).out
    assert PLAIN in git(leaky, "cat-file", "blob", f"{newest}:tree/leak.txt")
    told = [each["message"] for each in findings if each["category"] == "security"]
    assert any("leak.txt holds the secret DB_PASSWORD" in message for message in told)
    assert any("leak.txt holds the secret DEPLOY_TOKEN" in message for message in told)
    assert any("(commit " in message for message in told)
    assert {each["severity"] for each in findings if each["category"] == "security"} == {"major"}


@pytest.mark.parametrize("leaky", ["configuration"], indirect=True)
def test_a_run_goes_on_only_while_the_configuration_holds_its_secrets(leaky: Path) -> None:
    assert here("run", "deploy it", "--run-id", "a", "--trust", cwd=leaky).status == 1
    config = leaky / ".orchestrator" / "workflow.yaml"
    text = config.read_text()
    config.write_text(text.replace("DEPLOY_TOKEN", "OTHER_NAME"))

    answer = here("resume", "a", "--trust", "--json", cwd=leaky)

    assert answer.status == 4
    assert answer.json["error"]["code"] == "secret-gone"
    assert "agents.leaky.env.DEPLOY_TOKEN" in answer.json["error"]["message"]


def test_a_secret_in_a_typed_command_is_refused_before_anything_is_kept(leaky: Path) -> None:
    answer = here("run", "deploy", "--command", f"deploy --token {PLAIN}", "--trust", cwd=leaky)

    assert answer.status == 2
    assert "error[secret-in-command]" in answer.err
    assert leaked_in((answer.out + answer.err).encode()) == []
    assert not list((leaky / ".orchestrator" / "checkpoints").glob("*"))
