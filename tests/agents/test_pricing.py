from __future__ import annotations

import pytest

from orchestrator.agents.pricing import Prices, price
from orchestrator.model.run import Usage

USED = Usage(input_tokens=1_000_000, output_tokens=100_000)


def test_what_is_known_of_a_model_is_told_by_its_provider_or_its_name() -> None:
    assert price(USED, "gpt-4o", "openai") == pytest.approx(3.5)
    assert price(USED, "gpt-4o") == pytest.approx(3.5)


def test_tokens_that_were_kept_cost_less() -> None:
    kept = Usage(input_tokens=1_000_000, output_tokens=100_000, cached_tokens=900_000)

    assert price(kept, "gpt-4o", "openai") == pytest.approx(2.375)


def test_the_configuration_goes_before_the_known_prices() -> None:
    assert price(USED, "gpt-4o", "openai", Prices(1.0, 10.0)) == pytest.approx(2.0)
    assert price(USED, "nobody-knows", None, Prices(1.0)) == pytest.approx(1.0)


def test_nobody_knows_what_is_not_known() -> None:
    assert price(USED, "nobody-knows-this", "openai") is None
    assert price(USED, "", None) is None
    assert price(Usage(), "gpt-4o", "openai") is None


def test_what_runs_on_ollama_costs_nothing() -> None:
    assert price(USED, "qwen", "ollama") == 0.0
