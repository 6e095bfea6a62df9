"""The defaults that hold each other up."""

from gateway.ingress.settings import RelaySettings


def test_defaults_keep_what_the_design_promises() -> None:
    settings = RelaySettings()
    assert settings.first_byte_s == 0  # off: A6, A37
    assert settings.upstream_fresh_s < settings.upstream_idle_s < 5.0
    assert settings.replay_bytes == 64 * 1024 and settings.attempts <= 3
    assert settings.trusted == ()
