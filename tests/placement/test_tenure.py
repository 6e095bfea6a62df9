"""A tenure: it ends by the clock and by word, and then for good. Leases are test_leases'."""

from placement.tenure import Tenure, boot_time


def test_p1_it_lasts_until_its_end_and_never_again() -> None:
    tenure = Tenure(100.0)
    assert tenure.lasts(99.9)
    assert not tenure.lasts(100.0) and not tenure.lasts(99.9)
    tenure.expires_at = 200.0  # a renewal whose answer came too late
    assert not tenure.lasts(150.0) and "over" in repr(tenure)


def test_its_end_moves_while_it_lasts() -> None:
    tenure = Tenure(100.0)
    assert tenure.lasts(99.0)
    tenure.expires_at = 200.0
    assert tenure.lasts(150.0)


def test_what_was_given_back_is_over_at_once() -> None:
    tenure = Tenure(boot_time() + 60)
    assert tenure.lasts(boot_time()) and "60.0 s" in repr(tenure)
    tenure.end()
    assert not tenure.lasts(boot_time())
