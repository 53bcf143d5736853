from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.agents.llm.client import PydanticClient
from orchestrator.agents.llm.known_answers import KnowingClient
from orchestrator.agents.llm.ollama import OllamaClient, local_model
from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.llm.refusal import ModelFailed
from orchestrator.errors import Refused
from orchestrator.model.chat import Message
from orchestrator.ports import LLMClient
from orchestrator.redaction.redactor import Redactor
from tests.agents.llm.conftest import KEY, Bench
from tests.scripted_model.steps import Answer, Failure
from tests.scripted_model.vectors import vector

KEYS = {"OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
Served = tuple[str, dict[str, tuple[int, bytes]]]
ASKED = (
    Message("system", "be kind"),
    Message("user", "hello"),
    Message("assistant", "hi"),
    Message("user", "?"),
)


def client(kind: str, bench: Bench) -> LLMClient:
    if kind == "own":
        return OllamaClient(bench.spec("ollama"), {}, timeout_s=10)
    return PydanticClient(bench.spec(kind), KEYS, timeout_s=10)


@pytest.mark.parametrize("kind", ["own", "openai", "google"])
def test_both_clients_answer_a_conversation_and_tell_what_it_took(kind: str, bench: Bench) -> None:
    talk = bench.script(Answer("good day"), plain=True)

    answer = client(kind, bench).chat(ASKED)

    assert (answer.text, answer.is_whole, answer.is_known) == ("good day", True, False)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.turns) == (120, 30, 1)
    assert "hello" in str(talk.asked[0].body)


@pytest.mark.parametrize("kind", ["own", "openai", "google"])
def test_both_clients_make_vectors_in_the_order_of_the_texts(kind: str, bench: Bench) -> None:
    bench.script(Answer("unused"), plain=True)

    vectors = client(kind, bench).embed(["a", "b"])

    assert [list(each) for each in vectors] == [pytest.approx(vector(text)) for text in ("a", "b")]
    assert client(kind, bench).embed([]) == ()


def test_a_provider_without_vectors_says_so(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        client("anthropic", bench).embed(["a"])

    assert caught.value.code == "no-embeddings"


@pytest.mark.parametrize("kind", ["own", "openai"])
def test_a_refusal_and_nobody_there_are_told_apart(kind: str, bench: Bench) -> None:
    bench.script(Failure(401, "who are you"), plain=True)
    with pytest.raises(ModelFailed) as refused:
        client(kind, bench).chat(ASKED)
    gone = bench.spec("ollama" if kind == "own" else kind, base_url="http://127.0.0.1:9")
    own, theirs = OllamaClient(gone, {}, timeout_s=5), PydanticClient(gone, KEYS, timeout_s=5)
    asking: LLMClient = own if kind == "own" else theirs
    with pytest.raises(ModelFailed) as nobody:
        asking.chat(ASKED)

    assert (refused.value.code, refused.value.status) == ("llm-refused", 401)
    assert (nobody.value.code, nobody.value.status) == ("llm-unreachable", None)


def test_generating_is_a_conversation_of_one_prompt(bench: Bench) -> None:
    talk = bench.script(Answer("yes"), plain=True)

    assert client("openai", bench).generate("well?").text == "yes"
    assert talk.asked[0].body["messages"] == [{"role": "user", "content": "well?"}]


class _Other(http.server.BaseHTTPRequestHandler):
    """An Ollama as it is in the wild: with abilities, generate, and odd answers."""

    bodies: dict[str, tuple[int, bytes]]

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(f" {asked['model']}" if self.path == "/api/show" else "")

    def _answer(self, about: str = "") -> None:
        status, body = self.bodies.get(self.path + about, (404, b"{}"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def ollama() -> Iterator[Served]:
    bodies: dict[str, tuple[int, bytes]] = {}
    handler = type("Handler", (_Other,), {"bodies": bodies})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{served.server_address[1]}", bodies
        served.shutdown()
        thread.join()


def test_ollama_generates_by_its_own_interface(ollama: Served) -> None:
    host, bodies = ollama
    bodies["/api/generate"] = (200, b'{"response": "yes", "done_reason": "length", "eval_count": 5}')

    answer = OllamaClient(ModelSpec("ollama", "m", f"http://{host}"), {}, timeout_s=5).generate("well?")

    assert (answer.text, answer.is_whole) == ("yes", False)
    assert (answer.usage.output_tokens, answer.usage.cost_usd) == (5, 0.0)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"message": 3}', b"\xff"])
def test_an_answer_that_is_none_is_told(body: bytes, ollama: Served) -> None:
    host, bodies = ollama
    bodies["/api/chat"] = (200, body)

    with pytest.raises(ModelFailed) as caught:
        OllamaClient(ModelSpec("ollama", "m", f"http://{host}"), {}, timeout_s=5).chat(ASKED)

    assert caught.value.code == "llm-answer"


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings": [[1], [2]]}', b'{"embeddings": ["x"]}'])
def test_vectors_that_are_none_are_told(body: bytes, ollama: Served) -> None:
    host, bodies = ollama
    bodies["/api/embed"] = (200, body)

    with pytest.raises(ModelFailed):
        OllamaClient(ModelSpec("ollama", "m", f"http://{host}"), {}, timeout_s=5).embed(["a"])


@pytest.mark.parametrize(
    ("names", "abilities", "found"),
    [
        (["only-chat", "all"], {"only-chat": ["completion"], "all": ["completion", "tools"]}, ("all", ())),
        (["vectors", "talks"], {"vectors": ["embedding"], "talks": ["completion"]}, ("talks", ("chat",))),
        (["vectors"], {"vectors": ["embedding"]}, None),
        ([], {}, None),
    ],
)
def test_the_model_of_this_machine_is_one_that_can_work(
    names: list[str],
    abilities: dict[str, list[str]],
    found: tuple[str, tuple[str, ...]] | None,
    ollama: Served,
) -> None:
    host, bodies = ollama
    bodies["/api/tags"] = (200, json.dumps({"models": [{"name": name} for name in names]}).encode())
    for name, able in abilities.items():
        bodies[f"/api/show {name}"] = (200, json.dumps({"capabilities": able}).encode())

    spec = local_model({"OLLAMA_HOST": host.replace("127.0.0.1", "0.0.0.0")})

    assert (None if spec is None else (spec.name, spec.capabilities)) == found


@pytest.mark.parametrize("host", ["127.0.0.1:9", "models.example:11434", "https://models.example"])
def test_nobody_else_than_this_machine_is_looked_at(host: str) -> None:
    assert local_model({"OLLAMA_HOST": host}) is None


def test_known_answers_keep_nothing_of_an_answer_that_was_cut_off(ollama: Served, tmp_path: Path) -> None:
    host, bodies = ollama
    bodies["/api/generate"] = (200, b'{"response": "ye", "done_reason": "length"}')
    spec = ModelSpec("ollama", "m", f"http://{host}")
    knowing = KnowingClient(OllamaClient(spec, {}, timeout_s=5), spec, tmp_path / "answers", Redactor())

    knowing.generate("well?")
    bodies["/api/generate"] = (200, b'{"response": "yes", "done_reason": "stop"}')

    assert knowing.generate("well?").text == "yes"
    assert knowing.generate("well?").is_known
