"""The form of `llm`: a provider by name, or as a mapping, and nothing that is not there."""

import pytest

from gateway.egress.config.llm_forms import LlmForm, LlmKindForm
from lifecycle.strict import NotUnderstood, convert


def test_a_provider_is_a_word_or_a_mapping() -> None:
    given = {
        "models": [
            {"name": "a", "provider": "openAI"},
            {"name": "b", "provider": {"reference": "shared"}},
        ]
    }
    made = convert(given, LlmForm)
    assert made.models[0].provider == "openAI"
    assert made.models[1].provider == LlmKindForm(reference="shared")


def test_models_have_to_be_said() -> None:
    with pytest.raises(NotUnderstood, match="models: is missing"):
        convert({"port": 4000}, LlmForm)
