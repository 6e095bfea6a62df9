"""Gates: an empty one lets everybody pass, and none shows its keys."""

from gateway.egress.config.gate_model import NO_GATE, ApiKey, ApiKeys, Mode


def test_an_empty_gate_asks_nothing() -> None:
    assert not NO_GATE.rules and (NO_GATE.jwt, NO_GATE.api_keys, NO_GATE.authz) == (None,) * 3


def test_digests_are_not_shown() -> None:
    made = ApiKeys(by_digest={"ab" * 32: ApiKey()}, mode=Mode.STRICT)
    assert "abab" not in repr(made)
