"""An agent that calls an LLM through the egress proxy: it stays up while it thinks, though nobody
asks it anything, then sleeps, and wakes with its conversation."""

import threading
from typing import Any

import pytest

from tests.programs.llm import KEY, URL, Llm
from tests.programs.stage import apply
from tests.system.product import Process, until

pytestmark = pytest.mark.system

SHORT = {"freezeAfter": "never", "suspendAfter": "2s"}
"""Long enough for a starved program to take up an answer that has come."""


def texts(conversation: list[dict[str, Any]]) -> list[str | None]:
    return [message["content"] for message in conversation]


@pytest.mark.timeout(300)
def test_p5_a_call_to_the_llm_keeps_an_agent_up_and_it_wakes_with_its_conversation(
    up: Process, llm: Llm, runtime: str
) -> None:
    env = [{"name": "LLM_URL", "value": URL}]
    agents = apply(up, "agent", f"agents-{runtime}", runtime, idle=SHORT, env=env)
    llm.may_answer.clear()
    llm.asked.clear()
    assert agents.send("POST", "a", "/tasks", body=b"what is 20 and 22 ?").status == 202
    until("it asks the LLM", lambda: llm.asked)
    # Another with nothing to do goes to sleep in the time, this one does not.
    assert agents.get("idle", "/conversation") == []
    agents.asleep("idle")
    assert agents.state("a") == "RUNNING"
    llm.may_answer.set()
    agents.asleep("a")
    assert len(llm.asked) == 2, "the question, and the tool's result"
    assert texts(agents.get("a", "/conversation")) == [
        "what is 20 and 22 ?",
        None,
        "42",
        "It is 42.",
    ]
    # And goes on with it: the LLM is told all that was said before the sleep.
    agents.asleep("a")
    assert agents.send("POST", "a", "/tasks", body=b"and 1 and 2 ?").status == 202
    until("it is answered", lambda: len(agents.get("a", "/conversation")) == 8)
    assert texts(llm.asked[-1])[:5] == [
        "what is 20 and 22 ?",
        None,
        "42",
        "It is 42.",
        "and 1 and 2 ?",
    ]
    assert f"Bearer {KEY}" in llm.keys
    assert KEY not in str(agents.get("a", "/conversation"))


def test_p4_a_suspend_waits_for_the_call_that_is_open(up: Process, llm: Llm) -> None:
    env = [{"name": "LLM_URL", "value": URL}]
    agents = apply(up, "agent", "agents-waited", "bubblewrap", env=env)
    llm.may_answer.clear()
    llm.asked.clear()
    assert agents.send("POST", "a", "/tasks", body=b"1 and 2 ?").status == 202
    until("it asks the LLM", lambda: llm.asked)
    refused = agents.try_suspend("a", "500ms")
    assert refused.status == 409 and agents.state("a") == "RUNNING", refused
    suspending = threading.Thread(target=agents.suspend, args=("a",))
    suspending.start()
    llm.may_answer.set()
    suspending.join()
    until("all is said", lambda: len(agents.get("a", "/conversation")) == 4)
