"""Credentials of a document: to which hosts they are bound, where they are put, in which order."""

import pytest

from gateway.egress.config import keys
from gateway.egress.config import policy_forms as forms
from gateway.egress.config.shapes import LocationForm, NamePlace
from gateway.egress.config.values import Place
from lifecycle.strict import NotUnderstood


def test_a_credential_needs_a_host_to_be_bound_to() -> None:
    form = forms.BackendAuthForm(key="secret")
    with pytest.raises(NotUnderstood, match="would go to any host") as caught:
        keys.backend_auth(form, (), "p")
    assert "secret" not in str(caught.value)


def test_credentials_come_primary_first() -> None:
    form = forms.BackendAuthForm(
        key=forms.KeyForm(value="a"),
        credentials=(
            forms.CredentialForm(
                location=LocationForm(query_parameter=NamePlace(name="k")), key="b"
            ),
        ),
    )
    made = keys.backend_auth(form, ("h",), "p")
    assert [(each.source.value, each.location.place) for each in made] == [
        ("a", Place.HEADER),
        ("b", Place.QUERY),
    ]


def test_a_passed_token_and_a_key_are_not_one_primary_kind() -> None:
    form = forms.BackendAuthForm(key="a", passthrough=forms.PassthroughForm())
    with pytest.raises(NotUnderstood, match="one of key and passthrough"):
        keys.backend_auth(form, ("h",), "p")
