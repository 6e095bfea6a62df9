"""The forms of backends: what stands in agentgateway's examples is read as it is."""

import pytest

from gateway.egress.config.backend_forms import BackendForm
from lifecycle.strict import NotUnderstood, convert


def test_groups_of_providers() -> None:
    given = {"ai": {"groups": [{"providers": [{"name": "a", "provider": {"openAI": {}}}]}]}}
    made = convert(given, BackendForm)
    assert made.ai is not None and made.ai.groups[0].providers[0].name == "a"


def test_a_format_is_one_of_four() -> None:
    custom = {"custom": {"formats": [{"type": "rerank"}]}}
    with pytest.raises(NotUnderstood, match="formats"):
        convert({"ai": {"name": "a", "provider": custom}}, BackendForm)
