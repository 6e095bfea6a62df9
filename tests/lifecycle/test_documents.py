"""Documents: what is right becomes a Template, what is wrong is named by its path."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.documents import (
    parse_policy,
    parse_template,
    read_all,
    template_from_json,
    with_absolute_dir,
)
from lifecycle.strict import NotUnderstood
from lifecycle.templates import Readiness
from runtimes.base import Resources

COUNTER = """
apiVersion: rouse.dev/v1alpha1
kind: ActorTemplate
metadata: {namespace: demo, name: counter}
spec:
  runtime: {class: auto, requires: []}
  command: [python3, -m, counter]
  workingDir: /srv/examples/counter
  env: [{name: GREETING, value: hello}]
  ports: [{name: http, port: 8080}, {name: debug, port: 9090}]
  readiness: {httpGet: {path: /healthz, port: http}, timeout: 20s}
  durable: [/data]
  resources: {memory: 256Mi, cpu: "0.5", pids: 128}
  idle: {freezeAfter: 5s, suspendAfter: 1m}
  wake: {timeout: 30s, queue: 256}
  snapshot: {scope: auto, every: 0s}
  create: {onRequest: true}
  egress: {policy: default}
"""


def counter(**changes: Any) -> dict[str, Any]:
    """The counter's document with `spec` fields changed; None takes a field away."""
    document = copy.deepcopy(read_all(COUNTER)[0])
    assert isinstance(document, dict)
    for field, value in changes.items():
        document["spec"].pop(field, None)
        if value is not None:
            document["spec"][field] = value
    return document


def refusal(document: object) -> str:
    with pytest.raises(NotUnderstood) as caught:
        parse_template(document)
    return str(caught.value)


def test_the_designs_example_becomes_a_template() -> None:
    template = parse_template(counter()).template
    assert template.key == "demo/counter"
    assert template.command == ("python3", "-m", "counter")
    assert template.working_dir == Path("/srv/examples/counter")
    assert template.env == {"GREETING": "hello"}
    assert list(template.ports.items()) == [("http", 8080), ("debug", 9090)]
    assert template.readiness == Readiness(path="/healthz", port="http", timeout_s=20.0)
    assert template.durable == ("/data",)
    assert template.resources == Resources(memory_bytes=2**28, cpu=0.5, pids=128)
    assert (template.freeze_after_s, template.suspend_after_s) == (5.0, 60.0)
    assert (template.wake_timeout_s, template.wake_queue) == (30.0, 256)
    assert template.create_on_request


def test_a_command_is_all_that_a_spec_must_have() -> None:
    document = {**counter(), "spec": {"command": ["true"]}}
    template = parse_template(document).template
    assert template.ports == {"http": 8080} and template.readiness == Readiness()
    assert template.durable == () and not template.create_on_request
    assert (template.freeze_after_s, template.suspend_after_s) == (5.0, 60.0)


def test_equal_specs_have_equal_digests_and_others_have_others() -> None:
    digest = parse_template(counter()).template.digest
    other_words = counter(idle={"suspendAfter": "60s", "freezeAfter": "5000ms"})
    other_name = counter()
    other_name["metadata"]["name"] = "copy"
    assert parse_template(other_words).template.digest == digest
    assert parse_template(other_name).template.digest == digest
    assert parse_template(counter(command=["true"])).template.digest != digest


def test_the_stored_document_gives_the_same_template() -> None:
    parsed = parse_template(counter())
    assert template_from_json(parsed.canonical) == parsed.template
    assert parse_template(read_all(parsed.canonical)[0]) == parsed


def test_preloaded_modules_are_the_templates() -> None:
    template = parse_template(counter(preload=["aiohttp.web", "counter"])).template
    assert template.preload == ("aiohttp.web", "counter")
    assert parse_template(counter()).template.preload == ()


def test_idle_never_and_suspend_never() -> None:
    template = parse_template(counter(idle="never")).template
    assert (template.freeze_after_s, template.suspend_after_s) == (None, None)
    template = parse_template(counter(idle={"suspendAfter": "never"})).template
    assert (template.freeze_after_s, template.suspend_after_s) == (5.0, None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"command": None}, "spec.command: is missing"),
        ({"command": []}, "spec.command: is empty: say which program to run"),
        ({"command": ["sleep", 5]}, "spec.command[1]: expected `str`, got `int`; put it in quotes"),
        ({"command": ["a\0b"]}, "spec.command[0]: holds a NUL character"),
        ({"preload": ["a-b"]}, "spec.preload[0]: 'a-b' cannot name a Python module"),
        ({"preload": ["json", "json"]}, "spec.preload[1]: json is named twice"),
        (
            {"preload": ["json"], "command": ["node", "a.js"]},
            "spec.preload: needs a Python command: 'node' is no Python",
        ),
        (
            {"preload": ["json"], "runtime": {"class": "gvisor"}},
            "spec.preload: gvisor forks no actors: process and bubblewrap do",
        ),
        (
            {"preload": ["json"], "snapshot": {"scope": "full"}},
            "spec.preload: is of no use with full snapshots",
        ),
        ({"comand": ["a"]}, "spec.comand: unknown field; did you mean command?"),
        (
            {"idle": {"freezeAftr": "5s"}},
            "spec.idle.freezeAftr: unknown field; did you mean freezeAfter?",
        ),
        (
            {"idle": {"freezeAfter": 5}},
            "spec.idle.freezeAfter: 5 is no duration: write it with its unit, as 5s or 1m30s",
        ),
        ({"idle": "always"}, "spec.idle: invalid enum value 'always'"),
        ({"workingDir": "counter"}, "spec.workingDir: 'counter' is not absolute"),
        ({"env": [{"name": "A=B", "value": ""}]}, "spec.env[0].name: 'A=B' cannot name a variable"),
        ({"env": [{"name": "PORT", "value": "1"}]}, "spec.env[0].name: PORT is set by rouse"),
        ({"env": [{"name": "A", "value": 1}]}, "spec.env[0].value: expected `str`, got `int`"),
        (
            {"env": [{"name": "A", "value": ""}, {"name": "A", "value": ""}]},
            "spec.env[1].name: A is set twice",
        ),
        ({"ports": []}, "spec.ports: is empty"),
        ({"ports": [{"name": "http", "port": 0}]}, "spec.ports[0].port: 0 is not between 1 and"),
        ({"ports": [{"name": "http", "port": 65536}]}, "spec.ports[0].port: 65536 is not between"),
        ({"ports": [{"name": "a--b", "port": 1}]}, "spec.ports[0].name: 'a--b' is not a port's"),
        ({"ports": [{"name": "80", "port": 80}]}, "spec.ports[0].name: '80' is not a port's name"),
        (
            {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]},
            "spec.ports[1].port: 1 is declared twice",
        ),
        (
            {"readiness": {"httpGet": {"path": "/", "port": "htp"}}},
            "spec.readiness.httpGet.port: no port 'htp' is declared; did you mean http?",
        ),
        (
            {"readiness": {"httpGet": {"path": "healthz"}}},
            "spec.readiness.httpGet.path: 'healthz' is no path",
        ),
        (
            {"readiness": {"httpGet": {"path": "/"}, "tcpSocket": {}}},
            "spec.readiness: has both httpGet and tcpSocket",
        ),
        ({"readiness": {"timeout": "never"}}, "spec.readiness.timeout: never is not between"),
        ({"durable": ["data"]}, "spec.durable[0]: 'data' is not an absolute path"),
        ({"durable": ["/data/../etc"]}, "spec.durable[0]: '/data/../etc' is not an absolute path"),
        ({"durable": ["/"]}, "spec.durable[0]: is the whole file system"),
        ({"durable": ["/etc/app"]}, "spec.durable[0]: '/etc/app' overlaps /etc"),
        ({"durable": ["/a", "/a/b"]}, "spec.durable[1]: '/a/b' overlaps /a"),
        ({"resources": {"memory": "256MB"}}, "spec.resources.memory: '256MB' is no size"),
        ({"resources": {"cpu": "lots"}}, "spec.resources.cpu: 'lots' is no amount of cpu"),
        ({"resources": {"pids": 0}}, "spec.resources.pids: 0 is not between 1"),
        ({"runtime": {"class": "docker"}}, "spec.runtime.class: invalid enum value 'docker'"),
        ({"wake": {"timeout": "0s"}}, "spec.wake.timeout: 0s is not between"),
        ({"wake": {"queue": 0}}, "spec.wake.queue: 0 is not between 1 and"),
        ({"snapshot": {"every": "10ms"}}, "spec.snapshot.every: 10ms is not between 1s and"),
        ({"egress": {"policy": "Open AI"}}, "spec.egress.policy: 'Open AI'"),
    ],
)
def test_bad_input_is_named_by_its_path(spec: dict[str, Any], message: str) -> None:
    assert refusal(counter(**spec)).startswith(message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("just text", "a document is a mapping with apiVersion, kind"),
        ({**counter(), "kind": "ActorTemplat"}, "kind: 'ActorTemplat' is not known; did you mean"),
        ({**counter(), "kind": "WorkerPool"}, "kind: WorkerPool is only in Kubernetes"),
        ({**counter(), "apiVersion": "v1"}, "apiVersion: 'v1' is not known: rouse.dev/v1alpha1 is"),
        (
            {**counter(), "metadata": {"name": "Big"}},
            "metadata.name: 'Big' is not a DNS-1123 label",
        ),
        ({**counter(), "metadata": {"name": 5}}, "metadata.name: expected `str`, got `int`"),
        ({**counter(), "status": {}}, "status: unknown field"),
    ],
)
def test_a_document_that_is_none_says_why(document: object, message: str) -> None:
    assert refusal(document).startswith(message)


def test_a_file_of_several_documents_is_several() -> None:
    assert len(read_all(COUNTER + "---\n" + COUNTER + "---\n")) == 2


def test_a_huge_document_is_refused_unread() -> None:
    with pytest.raises(NotUnderstood, match="256 KiB at most"):
        read_all("a: " + "x" * 300_000)


def test_a_working_directory_is_resolved_against_its_file(tmp_path: Path) -> None:
    resolved = with_absolute_dir(counter(workingDir="../counter"), tmp_path / "deep")
    assert parse_template(resolved).template.working_dir == tmp_path / "counter"
    absolute = counter()
    assert with_absolute_dir(absolute, tmp_path) is absolute
    assert with_absolute_dir("no document", tmp_path) == "no document"


def test_an_unknown_policy_field_is_named_with_the_nearest() -> None:
    with pytest.raises(NotUnderstood, match=r"idle\.suspendAftr: unknown field; did you mean"):
        parse_policy({"idle": {"suspendAftr": "never"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(counter()["spec"])), value=JSON)
def test_any_value_in_any_field_is_taken_or_refused_by_name(field: str, value: Any) -> None:
    document = counter()
    document["spec"][field] = value
    try:
        parsed = parse_template(document)
    except NotUnderstood as error:
        assert str(error).startswith(f"spec.{field}")
    else:
        assert template_from_json(parsed.canonical) == parsed.template


def test_a_full_snapshot_asks_for_a_class_that_keeps_memory() -> None:
    full = parse_template(counter(snapshot={"scope": "full", "fallback": "data"})).template
    assert full.requires == ("full-snapshot",)
    assert (full.scope, full.fallback) == ("full", "data")
    assert "keeps no memory" in refusal(
        counter(snapshot={"scope": "full"}, runtime={"class": "process"})
    )
    assert "asks for full-snapshot" in refusal(
        counter(snapshot={"scope": "data"}, runtime={"requires": ["full-snapshot"]})
    )


def test_an_image_brings_the_command_and_asks_for_who_can_run_it() -> None:
    template = parse_template(counter(image="/srv/image", command=None)).template
    assert (template.image, template.command) == (Path("/srv/image"), ())
    assert template.requires == ("image",)
    plain = parse_template(counter()).template
    assert plain.image is None
    assert parse_template(counter(image="/srv/image")).template.started_as != plain.started_as
    assert "spec.command" in refusal(counter(command=None))
    assert "skopeo" in refusal(counter(image="docker.io/library/nginx"))
    assert "spec.image" in refusal(counter(image="/srv/image", runtime={"class": "process"}))


def test_a_golden_is_asked_for_and_changes_no_other_digest() -> None:
    plain, golden = (
        parse_template(counter(snapshot=given)).template
        for given in ({"scope": "auto"}, {"golden": True})
    )
    assert golden.golden and not plain.golden and golden.digest != plain.digest
    assert plain.digest == parse_template(counter()).template.digest
