"""Signatures: over what is sent, with the actor's own removed."""

import pytest

from gateway.egress.credentials.signing import needs_body, sign

KEYS = ("AK", "SK", "TOKEN")


def _sign(fields: list[tuple[str, str]], body: bytes | None, service: str) -> dict[str, str]:
    return dict(
        sign(
            "PUT",
            "https://h.com/a%20b?x=1",
            fields,
            body,
            keys=KEYS,
            service=service,
            region="eu-west-1",
        )
    )


def test_the_actors_signature_is_replaced() -> None:
    given = [
        ("authorization", "AWS4-HMAC-SHA256 Credential=fake"),
        ("x-amz-date", "19700101T000000Z"),
    ]
    made = _sign(given, b"body", "sqs")
    assert made["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")
    assert made["x-amz-date"] > "2024" and made["x-amz-security-token"] == "TOKEN"


def test_a_hash_that_was_said_is_what_is_signed() -> None:
    made = _sign([("x-amz-content-sha256", "a" * 64)], None, "s3")
    assert made["x-amz-content-sha256"] == "a" * 64
    assert not needs_body("s3", []) and needs_body("sqs", [])


def test_s3_without_a_hash_is_signed_without_one() -> None:
    assert _sign([], None, "s3")["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_chunks_signed_by_a_key_we_do_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="chunks"):
        _sign([("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")], None, "s3")
