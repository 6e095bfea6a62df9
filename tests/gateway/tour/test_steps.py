"""The tour against the product's surface with behaviour, whole and broken.

Against the product itself it is the system test of `rouse up --demo --once`.
"""

import io
import os
import subprocess
from pathlib import Path

import pytest

from gateway.tour import tour
from gateway.tour.steps import HERD, is_alive
from lifecycle import documents
from tests.fake_product import FakeProduct

EXAMPLES = Path(__file__).parents[3] / "examples"


async def walk(
    product: FakeProduct,
    *,
    once: bool = True,
    examples: Path = EXAMPLES,
    patience_s: float = 10.0,
) -> str:
    """What the tour printed, and at the end its exit status."""
    out = io.StringIO()
    async with product.serving():
        status = await tour(
            product.edge_url,
            product.admin_url,
            examples=examples,
            out=out,
            once=once,
            patience_s=patience_s,
        )
    return f"{out.getvalue()}\nstatus {status}"


async def test_a_sound_product_passes_all_seven_steps() -> None:
    product = FakeProduct()
    printed = await walk(product)
    assert printed.endswith("status 0")
    assert "7/7" in printed and "The tour failed" not in printed
    assert product.wakes[:2] == ["c1", "c1"] and sorted(product.wakes[2:]) == sorted(HERD)


async def test_the_template_is_sent_with_an_absolute_directory() -> None:
    product = FakeProduct()
    await walk(product)
    (sent,) = product.templates
    assert sent["spec"]["workingDir"] == str(EXAMPLES / "counter")
    assert documents.parse_template(sent).template.create_on_request


async def test_a_second_tour_goes_on_from_what_the_first_left() -> None:
    product = FakeProduct()
    assert (await walk(product)).endswith("status 0")
    printed = await walk(product)
    assert printed.endswith("status 0")
    assert "sleeps since an earlier tour" in printed and "ram 1, file 5" in printed


async def test_the_urls_to_try_come_only_when_it_goes_on_serving() -> None:
    assert "To try:" not in await walk(FakeProduct(), once=True)
    assert "To try:" in await walk(FakeProduct(), once=False)


@pytest.mark.parametrize(
    ("fault", "step", "reason"),
    [
        (
            "refuses-templates",
            1,
            "expected status 200 or 201, got 400: bad-document: spec.comand: did you mean command?",
        ),
        (
            "unavailable",
            2,
            "expected status 200, got 503: unavailable: the table cannot be reached",
        ),
        ("wrong-actor", 2, "asked demo/c1, but demo/someone-else answered"),
        ("silent-wake", 2, "expected a cold wake, was told: no Rouse-Wake"),
        ("memory-lost-by-thaw", 4, "expected ram and file (3, 3), got (1, 3)"),
        ("lost-file", 6, "expected status 200, got 404"),
    ],
)
async def test_what_is_not_as_said_ends_the_tour_with_its_reason(
    fault: str, step: int, reason: str
) -> None:
    printed = await walk(FakeProduct(faults=frozenset({fault})))
    assert f"The tour failed at step {step} of 7: {reason}" in printed.splitlines()[-3]
    assert printed.endswith("status 1")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("never-frozen", "it is SUSPENDED, in memory nowhere"),
        ("left-process", "is still there"),
    ],
)
async def test_what_never_comes_ends_the_tour_too(fault: str, reason: str) -> None:
    printed = await walk(FakeProduct(faults=frozenset({fault})), patience_s=0.6)
    assert reason in printed and printed.endswith("status 1")


async def test_a_product_that_is_not_there_is_a_reason_and_not_a_traceback() -> None:
    product = FakeProduct()
    async with product.serving():
        edge, admin = product.edge_url, product.admin_url
    out = io.StringIO()
    assert await tour(edge, admin, examples=EXAMPLES, out=out, once=True) == 1
    assert f"POST {admin}/v1/templates" in out.getvalue()


async def test_a_missing_template_is_named(tmp_path: Path) -> None:
    printed = await walk(FakeProduct(), examples=tmp_path)
    assert f"{tmp_path}/counter/template.yaml: No such file" in printed


def test_a_process_is_alive_until_it_has_ended() -> None:
    process = subprocess.Popen(["sleep", "60"])
    assert is_alive(process.pid) and is_alive(os.getpid())
    process.kill()
    process.wait()
    assert not is_alive(process.pid)
