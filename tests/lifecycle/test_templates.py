"""What a policy changes for one actor. How documents become templates is test_documents' matter."""

import pytest
from msgspec.structs import replace

from lifecycle.documents import parse_policy
from lifecycle.strict import NotUnderstood
from lifecycle.templates import Template

COUNTER = Template(
    namespace="demo",
    name="counter",
    digest="0" * 64,
    command=("true",),
    ports={"http": 8080},
    freeze_after_s=5.0,
    suspend_after_s=60.0,
)


def test_a_template_is_named_by_its_key() -> None:
    assert COUNTER.key == "demo/counter"


def test_a_policy_overrides_only_what_it_names() -> None:
    busy = COUNTER.with_policy(parse_policy({"idle": {"suspendAfter": "never"}}))
    assert (busy.freeze_after_s, busy.suspend_after_s) == (5.0, None)
    quick = COUNTER.with_policy(parse_policy({"idle": {"freezeAfter": "0s"}}))
    assert (quick.freeze_after_s, quick.suspend_after_s) == (0.0, 60.0)
    awake = COUNTER.with_policy(parse_policy({"idle": "never"}))
    assert (awake.freeze_after_s, awake.suspend_after_s) == (None, None)


def test_no_policy_and_an_empty_one_change_nothing() -> None:
    assert COUNTER.with_policy(None) is COUNTER
    assert COUNTER.with_policy(parse_policy({})) == COUNTER


def test_a_policy_of_a_later_version_is_refused_by_name() -> None:
    with pytest.raises(NotUnderstood, match="egres: unknown field"):
        COUNTER.with_policy('{"egres": {}}')


def test_memory_asks_for_a_class_that_keeps_it() -> None:
    assert COUNTER.runtimes == ()
    assert replace(COUNTER, runtime="process").runtimes == ("process",)
    assert replace(COUNTER, requires=("full-snapshot",)).runtimes == ("gvisor", "microvm")


def test_what_a_program_was_told_at_its_start_is_told_apart() -> None:
    same = replace(COUNTER, suspend_after_s=None, scope="full", fallback="data")
    assert same.started_as == COUNTER.started_as
    for other in ({"command": ("false",)}, {"env": {"A": "1"}}, {"durable": ("/data",)}):
        assert replace(COUNTER, **other).started_as != COUNTER.started_as
