"""The lists themselves; whether a kernel does what they say is in test_seccomp.py."""

from collections import Counter

from runtimes import syscalls
from runtimes.syscalls import ALLOWED, REFUSED, names, rules


def test_a_call_stands_in_one_list_once() -> None:
    listed = Counter(names(ALLOWED) + names(REFUSED))
    assert [name for name, count in listed.items() if count > 1] == []


def test_what_is_refused_by_argument_is_otherwise_allowed() -> None:
    assert {rule.call for rule in rules()} <= set(names(ALLOWED))


def test_calls_whose_flags_no_filter_can_see_are_in_no_list() -> None:
    listed = {*names(ALLOWED), *names(REFUSED)}
    assert not [name for name in listed if name == "clone3" or name.startswith("io_uring")]


def test_no_flag_of_a_namespace_is_taken_for_clones_signal() -> None:
    tested = [test for rule in rules() if rule.call == "clone" for test in rule.tests]
    assert len(tested) == len(syscalls.NAMESPACES) - 1
    assert not any(test.value & syscalls.CLONE_SIGNAL for test in tested)
