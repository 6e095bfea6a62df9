"""An answer of the API becomes a sentence with what to do, and the right exit code."""

from gateway.cli.failures import REMEDIES, from_answer
from gateway.control.faults import ROWS


def test_the_sentence_says_what_to_do_and_the_request() -> None:
    error = {"reason": "busy", "message": "2 open requests", "request_id": "r1"}
    failure = from_answer(409, dict(error))
    assert str(failure).startswith("2 open requests; give its requests time")
    assert str(failure).endswith("(request r1)") and failure.code == 1


def test_not_found_is_4_and_an_answer_without_words_has_its_status() -> None:
    assert from_answer(404, {"reason": "no-actor", "message": "m"}).code == 4
    assert str(from_answer(502, {})) == "status 502"


def test_remedies_are_for_reasons_that_exist() -> None:
    reasons = {reason for _status, reason in ROWS.values()} | {"unauthenticated", "foreign-host"}
    assert set(REMEDIES) <= reasons
