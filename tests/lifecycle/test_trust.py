"""An internal door that others can reach does not open without a key."""

import pytest

from lifecycle.trust import (
    Address,
    BadAddress,
    Exposed,
    check_exposure,
    check_key,
    is_bearer,
    is_guarded,
)

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8081", "localhost:0", "[::1]:8081", "unix:/run/rouse/admin", "127.9.9.9:1"]
)
def test_an_address_of_this_machine_needs_no_key(text: str) -> None:
    address = Address.parse(text)
    assert str(address) == text and is_guarded(address)
    check_exposure("admin.listen", address, None)


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:8081", "[::]:8081", "10.0.0.1:80", "rouse.example:80", "localhost.evil.example:1"],
)
def test_an_address_that_others_reach_needs_a_key(text: str) -> None:
    with pytest.raises(Exposed, match=r"admin\.listen .* can be reached by others"):
        check_exposure("admin.listen", Address.parse(text), None)
    check_exposure("admin.listen", Address.parse(text), KEY)


@pytest.mark.parametrize(
    "text",
    ["", "8081", ":8081", "host:", "host:99999", "::1:80", "unix:relative", "host:-1", "h:\u0663"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse(text)


def test_only_the_key_itself_is_the_key() -> None:
    assert is_bearer(f"Bearer {KEY}", KEY) and is_bearer(f"bearer  {KEY} ", KEY)
    for wrong in (None, "", KEY, f"Basic {KEY}", f"Bearer {KEY}x", "Bearer ", "Bearer \udcff"):
        assert not is_bearer(wrong, KEY)


def test_a_key_is_long_printable_and_never_shown() -> None:
    assert check_key(KEY + "\n") == KEY
    for bad in ("tooshort-secret", "", "key with spaces inside", "kéy-with-more-than-ascii"):
        with pytest.raises(ValueError, match="shared key") as caught:
            check_key(bad)
        assert not bad or bad not in str(caught.value)
