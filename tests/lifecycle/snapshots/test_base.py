"""The seam's errors; its promises are in tests/contract/store.py, kept by every store."""

import pytest

from lifecycle.snapshots.base import ObjectExists, ObjectMissing, StoreError, StoreUnavailable


@pytest.mark.parametrize("error", [ObjectMissing, ObjectExists, StoreUnavailable])
def test_who_catches_a_stores_errors_catches_each_of_them(error: type[Exception]) -> None:
    assert issubclass(error, StoreError)


def test_what_is_final_is_never_mistaken_for_what_may_pass() -> None:
    for final in (ObjectMissing, ObjectExists):
        assert not issubclass(final, StoreUnavailable)
