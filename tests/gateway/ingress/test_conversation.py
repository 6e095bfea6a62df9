"""Who may have a connection: both kinds answer all that the connections tell."""

import pytest

from gateway.ingress.conversation import Conversation
from gateway.ingress.exchange import Exchange
from gateway.ingress.tunnel import Tunnel


@pytest.mark.parametrize("kind", [Exchange, Tunnel])
def test_each_answers_all_that_its_connections_tell(kind: type[Conversation]) -> None:
    told = [n for n in vars(Conversation) if n.startswith("on_") or n in ("cut", "abort")]
    assert len(told) == 10
    for name in told:
        assert getattr(kind, name) is not getattr(Conversation, name), name


def test_none_is_made_of_the_base_alone() -> None:
    with pytest.raises(TypeError):
        Conversation()  # type: ignore[abstract]
