"""The product with one of the examples applied, and what a test does with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.system.product import EXAMPLES, Answer, Process, ask, until

NEVER = {"freezeAfter": "never", "suspendAfter": "never"}
PATIENCE_S = 90.0
"""For a start: hundreds of modules through gVisor on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example's template in a namespace of its own; nothing sleeps unless a test says so."""

    up: Process
    ns: str
    document: Mapping[str, Any]

    @property
    def spec(self) -> Any:
        return self.document["spec"]

    def send(self, method: str, actor: str, path: str, **more: Any) -> Answer:
        return self.up.send(method, actor, path, ns=self.ns, timeout=PATIENCE_S, **more)

    def get(self, actor: str, path: str = "/") -> Any:
        answer = self.send("GET", actor, path)
        assert answer.status == 200, (answer, self.up.output())
        return answer.json()

    def state(self, actor: str) -> str:
        return self.up.state(actor, self.ns)

    def suspend(self, actor: str) -> None:
        answer = self.try_suspend(actor, "30s")
        assert answer.status == 200, (answer, self.up.output())

    def try_suspend(self, actor: str, wait: str) -> Answer:
        """As a person asks for it. Another request may have woken it again by the answer."""
        path = f"/v1/namespaces/{self.ns}/actors/{actor}/suspend"
        body = json.dumps({"wait": wait}).encode()
        headers = {"Content-Type": "application/json"}
        return ask(self.up.admin, "POST", path, headers=headers, body=body, timeout=PATIENCE_S)

    def asleep(self, actor: str) -> None:
        """It went to sleep by itself."""
        until(f"{actor} sleeps", lambda: self.state(actor) == "SUSPENDED")


def apply(up: Process, name: str, ns: str, runtime: str, **changes: Any) -> Example:
    """The template of `examples/name`, with what a test changes in its spec."""
    directory = EXAMPLES / name
    document = yaml.safe_load((directory / "template.yaml").read_text())
    document["metadata"]["namespace"] = ns
    spec = document["spec"]
    spec |= {"runtime": {"class": runtime}, "idle": NEVER, **changes}
    if "workingDir" in spec:
        spec["workingDir"] = str(directory)
    spec["readiness"]["timeout"] = spec.setdefault("wake", {})["timeout"] = f"{PATIENCE_S:g}s"
    answer = up.apply(document)
    assert answer.status in (200, 201), answer.body
    return Example(up=up, ns=ns, document=document)
