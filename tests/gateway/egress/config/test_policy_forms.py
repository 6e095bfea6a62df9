"""The forms of policies: agentgateway's defaults, and the nearest name for what is none."""

import pytest

from gateway.egress.config import policy_forms as forms
from lifecycle.strict import NotUnderstood, convert


def test_defaults_are_agentgateways() -> None:
    retry = convert({"codes": [503]}, forms.RetryForm)
    assert (retry.attempts, retry.backoff) == (1, None)
    keys = convert({"keys": [{"key": "a"}]}, forms.ApiKeysForm)
    assert (keys.mode, keys.keys[0].allowed_models) == ("optional", None)
    authz = convert({"host": "h:1"}, forms.ExtAuthzForm)
    assert (authz.failure_mode, authz.include_request_body) == ("deny", None)
    assert convert({"duration": "2s"}, forms.DelayForm).duration == "2s"


def test_a_typing_error_names_the_nearest() -> None:
    with pytest.raises(NotUnderstood, match="did you mean allowOrigins"):
        convert({"cors": {"allowOrigin": ["*"]}}, forms.PoliciesForm)
    with pytest.raises(NotUnderstood, match="codes: is missing"):
        convert({"retry": {}}, forms.PoliciesForm)
