"""Real clients inside real actors, through the egress proxy of a started worker: each is served as
if it had the secret, and the secret is nowhere in it. What policies decide is the room's own."""

import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.outside import PLACEHOLDER, SECRET, WORDS, Outside, outside, policy
from tests.system.product import Process, role, sandboxes, started, template, until

CLIENTS = Path(__file__).parent / "clients"
IS_ROOT = os.geteuid() == 0
CLASSES = ("process", "bubblewrap", "gvisor") if IS_ROOT else ("process", "bubblewrap")


@dataclass
class Stage:
    up: Process
    out: Outside
    secret: Path

    def log(self) -> list[dict[str, Any]]:
        path = self.up.data / "egress" / "egress.log"
        return [json.loads(each) for each in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("egress")
    (home / "secret").write_text(SECRET)
    with outside(home) as out:
        (home / "egress.yaml").write_text(policy(out, home / "secret"))
        (home / "nothing.yaml").write_text("binds: []\n")
        policies = f"default={home / 'egress.yaml'},nothing={home / 'nothing.yaml'}"
        process = role("up", home / "data", ROUSE_EGRESS_POLICIES=policies)
        with started(process):
            for kind in CLASSES:
                assert process.apply(_runner(kind)).status in (200, 201)
            shut = _runner("process", name="shut", egress={"policy": "nothing"})
            assert process.apply(shut).status in (200, 201)
            yield Stage(process, out, home / "secret")


def _runner(kind: str, *, name: str = "", **more: Any) -> dict[str, Any]:
    return template(
        name or kind,
        ns=name or kind,
        runtime={"class": kind},
        command=["python3", "-S", str(CLIENTS / "runner.py")],
        workingDir=str(CLIENTS),
        durable=["/data"],
        idle={"freezeAfter": "never", "suspendAfter": "never"},
        create={"onRequest": True},
        **more,
    )


class Actor:
    def __init__(self, stage: Stage, ns: str) -> None:
        self.stage, self.ns = stage, ns

    def run(self, *argv: str, **env: str) -> dict[str, Any]:
        body = json.dumps({"argv": argv, "env": env}).encode()
        answer = self.stage.up.send("POST", "a1", ns=self.ns, body=body)
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json()
        return told

    def said(self, *argv: str, **env: str) -> str:
        told = self.run(*argv, **env)
        assert told["code"] == 0, (told, self.stage.up.output()[-2000:])
        return str(told["out"])

    def python(self, program: str) -> str:
        return self.said("python3", "-c", textwrap.dedent(program))


@pytest.fixture(params=CLASSES)
def actor(request: pytest.FixtureRequest, stage: Stage) -> Actor:
    return Actor(stage, request.param)


@pytest.fixture
def boxed(stage: Stage) -> Actor:
    return Actor(stage, "bubblewrap")


def _need(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if found is None:
        reason = f"{program} is missing: `make tools` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_curl(actor: Actor) -> None:
    _need("curl")
    assert actor.said("curl", "-sS", "https://llm.test/hello") == "hello"


def test_curl_is_told_why_not(actor: Actor) -> None:
    told = actor.run("curl", "-sS", "https://evil.example/")
    assert told["code"] == 56 and "403" in told["err"]


def test_requests(actor: Actor) -> None:
    assert actor.python("""
        import requests
        print(requests.get("https://llm.test/hello").text, end="")
    """) == "hello"  # fmt: skip


def test_httpx(boxed: Actor) -> None:
    assert boxed.python("""
        import httpx
        print(httpx.get("https://llm.test/hello").text, end="")
    """) == "hello"  # fmt: skip


def test_openai_sdk_plain_and_streamed(boxed: Actor) -> None:
    out = boxed.python(f"""
        from openai import OpenAI
        ask = dict(model="fake-1", messages=[{{"role": "user", "content": "count"}}])
        client = OpenAI(base_url="https://llm.test/v1", api_key="{PLACEHOLDER}")
        print(client.chat.completions.create(**ask).choices[0].message.content)
        stream = client.chat.completions.create(stream=True, **ask)
        print(" ".join(c.choices[0].delta.content for c in stream if c.choices))
    """)
    assert out == f"{' '.join(WORDS)}\n" * 2
    up = boxed.stage.up
    assert up.metric("gen_ai_client_token_usage_total", gen_ai_token_type="input") >= 22
    calls = until("the calls are in the log", lambda: [
        line for line in boxed.stage.log() if line.get("model") == "fake-1"][:2])  # fmt: skip
    assert calls[0]["actor"] == "bubblewrap/a1" and calls[0]["output_tokens"] == 3


def test_openai_sdk_asks_for_a_model_by_the_policys_name_for_it(boxed: Actor) -> None:
    out = boxed.python("""
        import os
        from openai import NotFoundError, OpenAI
        client = OpenAI(base_url=os.environ["ROUSE_EGRESS_URL"] + "/v1", api_key="none")
        print([each.id for each in client.models.list()])
        ask = dict(messages=[{"role": "user", "content": "count"}])
        print(client.chat.completions.create(model="smart", **ask).choices[0].message.content)
        try:
            client.chat.completions.create(model="dumb", **ask)
        except NotFoundError as error:
            print(error.code)
    """)
    assert out == f"['smart']\n{' '.join(WORDS)}\nmodel_not_found\n"


def test_git_clone_with_a_placeholder_in_basic(boxed: Actor) -> None:
    _need("git")
    url = f"https://x-token:{PLACEHOLDER}@git.test/repo.git"
    assert boxed.said("git", "clone", "-q", url, "cloned") == ""
    assert boxed.said("cat", "cloned/README") == "cloned\n"


def test_pip_install(boxed: Actor) -> None:
    index = ("--index-url", "https://pypi.test/simple", "--no-cache-dir")
    boxed.said(sys.executable, "-m", "pip", "install", "-q", *index, "--target", "lib", "outsider")
    assert boxed.said("cat", "lib/outsider.py") == "WORD = 'installed'\n"


def test_npm_install(boxed: Actor) -> None:
    npm = _need("npm")
    boxed.said(npm, "install", "--no-audit", "--no-fund", "--registry", "https://npm.test/",
               "outsider", npm_config_cache="/tmp/npm")  # fmt: skip
    assert "installed" in boxed.said("cat", "node_modules/outsider/index.js")


def test_node_fetch_by_a_base_url(actor: Actor) -> None:
    node = _need("node")
    program = "fetch(process.env.ROUSE_EGRESS_URL + '/llm/hello').then(async r => "
    program += "process.stdout.write(await r.text()))"
    assert actor.said(node, "-e", program) == "hello"


def test_go_net_http(boxed: Actor, tmp_path_factory: pytest.TempPathFactory) -> None:
    go = _need("go")
    home = tmp_path_factory.mktemp("go")
    (home / "main.go").write_text(
        'package main\n\nimport (\n\t"fmt"\n\t"io"\n\t"net/http"\n)\n\nfunc main() {\n'
        '\tanswer, err := http.Get("https://llm.test/hello")\n'
        "\tif err != nil {\n\t\tpanic(err)\n\t}\n"
        "\tbody, _ := io.ReadAll(answer.Body)\n\tfmt.Print(string(body))\n}\n"
    )
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GO111MODULE": "off"}
    program = home / "client"
    build = [go, "build", "-o", str(program), str(home / "main.go")]
    subprocess.run(build, check=True, env=environ, timeout=110)
    code = "import os,sys,base64; open('/tmp/client','ab').write(base64.b64decode(sys.argv[1]))"
    data = program.read_bytes()
    for at in range(0, len(data), 90_000):
        piece = base64.b64encode(data[at : at + 90_000]).decode()
        boxed.said("python3", "-S", "-c", code, piece)
    boxed.said("chmod", "+x", "/tmp/client")
    assert boxed.said("/tmp/client") == "hello"


def test_a_websocket(boxed: Actor) -> None:
    assert boxed.python("""
        from websockets.sync.client import connect
        with connect("wss://ws.test/echo") as ws:
            ws.send("over")
            print(ws.recv(), end="")
    """) == "over"  # fmt: skip


@pytest.mark.skipif(not IS_ROOT, reason="gVisor needs root")
def test_p5_memory_that_is_woken_later_still_has_its_way_out(stage: Stage) -> None:
    one = Actor(stage, "gvisor")
    proxy = one.said("sh", "-c", "echo $HTTPS_PROXY").strip()
    assert one.said("curl", "-sS", "https://llm.test/hello") == "hello"
    assert stage.up.cli("actor", "suspend", "gvisor/a1").returncode == 0
    assert one.said("curl", "-sS", "https://llm.test/hello") == "hello"
    assert one.said("sh", "-c", "echo $HTTPS_PROXY").strip() == proxy and "@" not in proxy
    told = one.run("curl", "-sSk", "--noproxy", "*", "-m", "5", "https://10.209.0.1:1/")
    assert told["code"] in (7, 28), told


@pytest.fixture(params=CLASSES[1:])
def apart(request: pytest.FixtureRequest, stage: Stage) -> Actor:
    """In a network of its own."""
    if not IS_ROOT:
        pytest.skip("only root gives an actor a network of its own")
    return Actor(stage, request.param)


def test_curl_that_ignores_the_proxy_is_led_to_it(apart: Actor) -> None:
    plain = ("curl", "-sS", "--noproxy", "*", "-m", "20")
    assert apart.said(*plain, "https://llm.test/hello") == "hello"
    told = apart.run(*plain, "https://evil.example/")
    assert told["code"] == 35 and "denied" in told["err"], told
    told = apart.run(*plain, "http://evil.example/")
    assert "opens no port 80" in told["out"], told


def test_plain_sockets_are_led_there_too(apart: Actor) -> None:
    program = r"""
        import os, socket, ssl
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        plain = socket.create_connection(("llm.test", 443), 20)
        sock = context.wrap_socket(plain, server_hostname="llm.test")
        sock.sendall(b"GET /hello HTTP/1.0\r\nHost: llm.test\r\n\r\n")
        said = b""
        while piece := sock.recv(1000):
            said += piece
        print(said.split(b"\r\n\r\n")[1].decode(), end="")
    """
    assert apart.python(program) == "hello"


@pytest.mark.skipif(not IS_ROOT, reason="gVisor needs root")
def test_an_address_is_no_way_around_the_name(stage: Stage) -> None:
    one = Actor(stage, "gvisor")
    at = ("curl", "-sS", "--noproxy", "*", "-m", "20", "--resolve", "llm.test:443:203.0.113.9")
    assert one.said(*at, "https://llm.test/hello") == "hello"
    told = one.run("curl", "-sSk", "--noproxy", "*", "-m", "20", "https://169.254.169.254/")
    assert told["code"] == 35, told
    told = one.run("curl", "-sS", "--noproxy", "*", "-m", "20", "http://203.0.113.9:81/")
    assert told["code"] == 7, told


def test_what_ignores_the_proxy_has_no_way_out_of_its_own_network(boxed: Actor) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives an actor a network of its own")
    port = boxed.stage.out.port
    told = boxed.run("curl", "-sSk", "--noproxy", "*", "-m", "5", f"https://127.0.0.1:{port}/hello")
    assert told["code"] == 7, told


def test_an_actor_calls_another_which_wakes_and_learns_who_calls(boxed: Actor) -> None:
    url = "http://{0}.{1}.actors.internal/"
    assert boxed.said("curl", "-sS", url.format("a2", "bubblewrap")) == "ok"
    assert boxed.stage.up.state("a2", "bubblewrap") == "RUNNING"
    told = boxed.said("curl", "-sS", url.format("a2", "process"))
    assert told.startswith("authorization failed\n") and "another namespace" in told
    program = """
        import os, urllib.request, jwt, json
        ask = urllib.request.Request("http://a2.bubblewrap.actors.internal/", data=json.dumps(
            {"argv": ["true"]}).encode(), headers={"X-Rouse-Caller": "forged"})
        told = urllib.request.urlopen(ask)
        seen = json.load(told)["caller"]
        key = open(os.environ["ROUSE_CALLER_KEY"]).read()
        print(jwt.decode(seen, key, algorithms=["EdDSA"], audience="bubblewrap/a2")["sub"])
    """
    assert boxed.python(program) == "bubblewrap/a1\n"


def test_another_policy_is_another_world(stage: Stage) -> None:
    told = Actor(stage, "shut").run("curl", "-sS", "https://llm.test/hello")
    assert told["code"] == 56 and "405" in told["err"]


def test_a_token_of_another_actor_is_no_use_inside_ones_own_network(stage: Stage) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives an actor a network of its own")
    stolen = Actor(stage, "process").said("sh", "-c", "echo $HTTPS_PROXY").strip()
    token = stolen.partition("actor:")[2].partition("@")[0]
    told = Actor(stage, "bubblewrap").run(
        "curl", "-sS", "-x", f"http://actor:{token}@127.0.0.1:3128", "https://llm.test/hello"
    )
    assert told["code"] == 56 and "403" in told["err"]


def test_a_token_ends_with_the_suspend(stage: Stage) -> None:
    one = Actor(stage, "process")
    before = one.said("sh", "-c", "echo $HTTPS_PROXY").strip()
    assert stage.up.cli("actor", "suspend", "process/a1").returncode == 0
    after = one.said("sh", "-c", "echo $HTTPS_PROXY").strip()
    assert before != after
    told = one.run("curl", "-sS", "-x", before, "https://llm.test/hello")
    assert told["code"] == 56 and "407" in told["err"]


def _holding(one: Actor, mark: str) -> None:
    """A client of this actor was served, and lives on with `mark` in its memory alone."""
    hold = 'rm -f served go ended; (python3 -S "$1" "$2" >log 2>&1; touch ended) >out 2>&1 &'
    one.said("sh", "-c", hold, "sh", str(CLIENTS / "holder.py"), mark.encode().hex())
    _await_file(one, "served")


def _await_file(one: Actor, name: str) -> None:
    look = 'for i in $(seq 300); do [ -e "$1" ] && exit; sleep 0.1; done; cat log; exit 1'
    one.said("sh", "-c", look, "sh", name)


def test_a_client_that_was_served_has_no_secret_in_its_memory(actor: Actor) -> None:
    """That the search finds what is there, a mark shows that is nowhere else."""
    mark = secrets.token_hex(12)
    _holding(actor, mark)
    memory = [_memory(pid) for pid in sandboxes(actor.stage.up)]
    assert [each for each in memory if mark.encode() in each], "the search would not find it"
    assert not [each for each in memory if SECRET.encode() in each]
    actor.said("touch", "go")


def test_no_core_is_left_of_an_actor(actor: Actor) -> None:
    """One would hold what was searched above: the memory of its process."""
    assert actor.said("sh", "-c", "ulimit -Hc") == "0\n"
    _holding(actor, "x")
    actor.said("touch", "go")
    _await_file(actor, "ended")
    assert actor.said("sh", "-c", "ls | grep core || echo none") == "none\n"


@pytest.mark.skipif(not IS_ROOT, reason="gVisor needs root")
def test_memory_in_a_snapshot_has_no_secret(stage: Stage) -> None:
    one, mark = Actor(stage, "gvisor"), secrets.token_hex(12)
    _holding(one, mark)
    found: list[Path] = []

    def look() -> bool:
        for path in stage.up.data.rglob("*"):
            with contextlib.suppress(OSError):
                text = path.read_bytes() if path.is_file() else b""
                assert SECRET.encode() not in text, path
                if mark.encode() in text:
                    found.append(path)
        return bool(found)

    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(stage.up.cli, "actor", "suspend", "gvisor/a1")
        until("the image was seen", lambda: look() or done.done())
    assert done.result().returncode == 0
    look()
    assert found, "the search would not find it"
    one.said("touch", "go")


def test_the_secret_is_nowhere(stage: Stage) -> None:
    """After all those calls (this one is the last): environment and memory of every process of the
    actors, files that they see, logs, metrics, table and snapshots."""
    assert any(SECRET in shown for _host, shown in stage.out.seen)
    mark = SECRET.encode()
    for ns in CLASSES:
        one = Actor(stage, ns)
        assert one.said("curl", "-sS", "https://llm.test/hello") == "hello"
        found = one.run("sh", "-c", 'env; cat /proc/[0-9]*/environ; grep -rls "$1" /data "$TMPDIR" '
                        '"$ROUSE_DATA" "$(dirname $SSL_CERT_FILE)"', "sh", SECRET[:12])  # fmt: skip
        assert SECRET not in found["out"] and "/data" not in found["out"].splitlines()[-1:]
    pids = sandboxes(stage.up)
    assert pids and not [pid for pid in pids if mark in _memory(pid)]
    for ns in CLASSES:
        assert stage.up.cli("actor", "suspend", f"{ns}/a1").returncode == 0
    assert mark not in stage.up.log.read_bytes()
    for path in stage.up.data.rglob("*"):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):  # the worker tidies up meanwhile
                assert mark not in path.read_bytes(), path


def _memory(pid: int) -> bytes:
    """All that a core of it would hold, and the files without a name that it has open: gVisor's
    are its sandbox's memory."""
    pieces = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if "r" not in rights or "[v" in line or "memfd" in line:
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            with contextlib.suppress(OSError, OverflowError, ValueError):
                memory.seek(begin)
                pieces.append(memory.read(min(end - begin, 64 << 20)))
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if "memfd:" in os.readlink(link):
                    pieces.append(_sparse(link))
    return b"".join(pieces)


def _sparse(path: Path) -> bytes:
    """What of it is not holes."""
    pieces, at = [], 0
    with path.open("rb", 0) as file, contextlib.suppress(OSError):
        while True:
            begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            pieces.append(os.pread(file.fileno(), at - begin, begin))
    return b"".join(pieces)


def test_programs_that_outlive_their_worker_keep_their_way_out(stage: Stage) -> None:
    before = {}
    for ns in CLASSES:
        before[ns] = Actor(stage, ns).said("sh", "-c", "echo $PPID $HTTPS_PROXY")
    stage.up.kill()
    stage.up.start().ready()
    for ns in CLASSES:
        one = Actor(stage, ns)
        assert one.said("sh", "-c", "echo $PPID $HTTPS_PROXY") == before[ns], "it woke anew"
        assert one.said("curl", "-sS", "https://llm.test/hello") == "hello"
