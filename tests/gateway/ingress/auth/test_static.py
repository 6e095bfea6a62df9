"""Static tokens: the file holds hashes, a token opens what its line says."""

import hashlib

import pytest

from gateway.ingress.auth.identity import Kind
from gateway.ingress.auth.static import BadTokens, StaticTokens
from placement.model import ActorId

TOKEN = b"a-token-made-by-a-machine-0123456789"
DIGEST = hashlib.sha256(TOKEN).hexdigest()


def tokens(text: str) -> StaticTokens:
    made = StaticTokens()
    made.accept(text)
    return made


def test_a_token_opens_the_scopes_of_its_line() -> None:
    identity = tokens(f"# who\nann sha256:{DIGEST} demo,lab/c1  # laptop\n").verify(TOKEN, 0.0)
    assert identity is not None and identity.kind is Kind.TOKEN
    assert identity.may_enter(ActorId("demo", "any")) and identity.may_enter(ActorId("lab", "c1"))
    assert not identity.may_enter(ActorId("lab", "c2"))


def test_no_other_token_and_no_hash_opens_anything() -> None:
    made = tokens(f"ann sha256:{DIGEST} *")
    for wrong in (TOKEN + b"x", TOKEN[:-1], DIGEST.encode(), bytes.fromhex(DIGEST), b"", b"short"):
        assert made.verify(wrong, 0.0) is None


def test_a_new_file_takes_the_place_of_the_old_one_or_changes_nothing() -> None:
    made = tokens(f"ann sha256:{DIGEST} *")
    with pytest.raises(BadTokens):
        made.accept("ann sha256:1234 *")
    assert made.verify(TOKEN, 0.0) is not None
    made.accept("")
    assert made.verify(TOKEN, 0.0) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ann " + DIGEST + " *", "line 1"),
        ("\nann sha256:" + DIGEST, "line 2"),
        ("ann sha256:" + DIGEST + " Demo", "DNS-1123"),
        ("ann sha256:" + DIGEST + " demo/", "DNS-1123"),
        ("a sha256:" + DIGEST + " *\na sha256:" + DIGEST + " *", "twice"),
        ("ann md5:" + DIGEST + " *", "sha256"),
    ],
)
def test_a_bad_line_is_named_and_its_hash_is_not(text: str, why: str) -> None:
    with pytest.raises(BadTokens, match=why) as caught:
        StaticTokens().accept(text)
    assert DIGEST not in str(caught.value)
