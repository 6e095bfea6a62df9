"""Where requests are sent in place of where they were meant for."""

import pytest

from gateway.egress.config import policy_forms as forms
from gateway.egress.config import redirects
from lifecycle.strict import NotUnderstood


def test_an_authority_is_a_host_a_port_or_both() -> None:
    port = redirects.rewrite(forms.RewriteForm(authority=forms.AuthorityForm(port=81)), "p")
    assert port is not None and (port.authority, port.port) == (None, 81)
    both = forms.AuthorityForm(host="h", port=81)
    made = redirects.rewrite(forms.RewriteForm(authority=both), "p")
    assert made is not None and made.authority == "h:81"
    for word, authority in (("none", ""), ("auto", None)):
        made = redirects.rewrite(forms.RewriteForm(authority=word), "p")  # type: ignore[arg-type]  # its literals
        assert made is not None and made.authority == authority


def test_a_redirect_has_a_status_of_one() -> None:
    with pytest.raises(NotUnderstood, match="no redirect"):
        redirects.redirect(forms.RedirectForm(status=200), "p")
    with pytest.raises(NotUnderstood, match="no path"):
        redirects.path("a", "p")
