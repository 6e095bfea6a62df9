"""Starting and ending the product, with a small program that behaves like `rouse up`."""

import sys
from pathlib import Path

import pytest

from loadtest.product import Product, ProductFailed, free_ports, is_ready

PROGRAM = """#!{python}
import http.server, os, signal, sys
print("started with", *sys.argv[1:], flush=True)
if sys.argv[sys.argv.index("--runtime") + 1] == "broken":
    sys.exit("no such runtime")
signal.signal(signal.SIGTERM, lambda *_: os._exit({status}))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
host, _, port = sys.argv[sys.argv.index("--admin") + 1].partition(":")
http.server.HTTPServer((host, int(port)), Answer).serve_forever()
"""


def program(directory: Path, *, status: int = 0) -> Path:
    path = directory / "rouse"
    path.write_text(PROGRAM.format(python=sys.executable, status=status))
    path.chmod(0o755)
    return path


def product(directory: Path, *, runtime: str = "process", status: int = 0) -> Product:
    rouse = program(directory, status=status)
    return Product(directory, rouse=rouse, runtime=runtime, slots=7)


def test_it_is_ready_inside_the_with_and_gone_after_it(tmp_path: Path) -> None:
    with product(tmp_path) as started:
        assert is_ready(started.admin_url)
    assert not is_ready(started.admin_url)


def test_it_gets_data_ports_runtime_and_slots_of_its_own(tmp_path: Path) -> None:
    with product(tmp_path) as started:
        edge = started.edge_url.removeprefix("http://")
        admin = started.admin_url.removeprefix("http://")
    assert (tmp_path / "rouse.log").read_text().split("\n")[0] == (
        f"started with up --listen {edge} --admin {admin} --data {tmp_path}/data"
        " --runtime process --slots 7"
    )


def test_one_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProductFailed, match=r"it ended at once, status 1:\n(.*\n)*no such runtime"):
        with product(tmp_path, runtime="broken"):
            pytest.fail("it cannot be ready")


def test_one_that_ends_badly_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(ProductFailed, match="it ended with status 3"), product(tmp_path, status=3):
        pass


def test_an_error_of_the_run_leaves_no_product_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), product(tmp_path) as started:
        raise KeyboardInterrupt
    assert not is_ready(started.admin_url)


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20
