"""The seams' words; who implements them passes the relay's tests with their own tickets."""

from gateway.ingress.seams import Reason, Refusal
from placement.model import ActorId


def test_a_refusal_carries_what_its_answer_needs() -> None:
    refusal = Refusal(Reason.WAKING, "not yet", actor=ActorId("n", "a"), retry_after_s=2.0)
    assert (str(refusal), refusal.reason, refusal.retry_after_s) == ("not yet", "waking", 2.0)
