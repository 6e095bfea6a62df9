"""Listeners of a document: what goes with which protocol, and how TLS is opened."""

import pytest

from gateway.egress.config.model import ListenerTls
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document


def _tls(text: str) -> ListenerTls | None:
    made = document(f"binds: [{{port: 1, listeners: [{{protocol: HTTPS, tls: {text}}}]}}]")
    return made.binds[0].listeners[0].tls


def test_tls_of_clients_ciphers_and_groups() -> None:
    made = _tls(
        "{cert: c, key: k, root: r, cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256], "
        "keyExchangeGroups: [P-256], minTLSVersion: TLS_V1_3}"
    )
    assert made is not None and made.root is not None and str(made.root) == "r"
    assert made.ciphers == ("ECDHE-ECDSA-AES128-GCM-SHA256",) and made.group == "prime256v1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{mode: dynamicCa, root: r}", "does not go with dynamicCa"),
        ("{cert: c}", "go together"),
        ("{}", "cert: is missing"),
        ("{cert: c, key: k, keyExchangeGroups: [X25519, P-256]}", "not supported by rouse"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        _tls(text)


def test_what_is_not_opened_has_no_requests_to_judge() -> None:
    with pytest.raises(
        NotUnderstood, match=r"policies\.apiKey: is not supported by rouse on a TLS"
    ):
        document("binds: [{port: 1, listeners: [{protocol: TLS, policies: {apiKey: {keys: []}}}]}]")


def test_any_name_may_be_written_as_a_star() -> None:
    made = document("binds: [{port: 1, listeners: [{hostname: '*', protocol: TLS}]}]")
    assert made.binds[0].listeners[0].hostname is None
