"""Policies: what may be edited, which rules and rates make sense."""

import pytest

from gateway.egress.config import policies
from gateway.egress.config import policy_forms as forms
from lifecycle.strict import NotUnderstood


@pytest.mark.parametrize("name", ["Host", "Content-Length", "transfer-encoding", "Connection"])
def test_no_edit_touches_what_frames_or_routes(name: str) -> None:
    with pytest.raises(NotUnderstood, match="frames or routes"):
        policies.edits(forms.HeadersForm(set={name: "x"}), "p")


def test_a_value_cannot_end_its_line() -> None:
    with pytest.raises(NotUnderstood, match="can't carry"):
        policies.edits(forms.HeadersForm(set={"x": "a\r\nb: c"}), "p")


def test_host_as_an_expression_is_the_authority() -> None:
    made = policies.computed(forms.HeadersForm(set={"host": '"x"'}), "p")
    assert made[0].set[0][0] == ":authority"


def test_a_rule_is_one_kind() -> None:
    with pytest.raises(NotUnderstood, match="one of allow, deny and require"):
        policies.rules((forms.RuleForm(allow="true", deny="true"),), "p")


@pytest.mark.parametrize(("most", "fill"), [(1, 2), (0, 0)])
def test_buckets_are_sane(most: int, fill: int) -> None:
    from lifecycle.quantities import Duration

    form = forms.RateForm(max_tokens=most, tokens_per_fill=fill, fill_interval=Duration(1))
    with pytest.raises(NotUnderstood):
        policies.rates((form,), "p")
