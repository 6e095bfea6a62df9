"""Prices from a catalog of agentgateway's form."""

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.egress.metering.prices import NO_PRICES, read_prices
from gateway.egress.metering.usage import Usage

CATALOG = """{"providers": {"openai": {"models": {
  "gpt": {"rates": {"input": "2", "output": "8", "cacheRead": "0.5"},
          "tiers": [{"contextOver": 1000000, "rates": {"input": "4", "output": "8"}}]}}}}}"""


def test_cost_is_exact(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(CATALOG)
    prices = read_prices([tmp_path / "c.json"])
    usage = Usage(model="gpt-2026", input=1_000_000, output=500_000, cache_read=400_000)
    assert prices.cost("openai", usage) == Decimal("1.2") + Decimal("0.2") + 4
    over = Usage(model="gpt", input=2_000_000)
    assert prices.cost("openai", over) == 8
    assert prices.cost("openai", Usage(model="other", input=1)) is None
    assert NO_PRICES.cost("openai", over) is None


@pytest.mark.parametrize("text", ["", "{}", '{"providers": {"a": {"models": {"b": {"rates": '
                                  '{"input": "cheap"}}}}}}'])  # fmt: skip
def test_what_is_no_catalog_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match="no model catalog"):
        read_prices([tmp_path / "c.json"])
