"""Locust's callers in a process of their own, against the product's surface with behaviour."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.fake_product import FakeProduct

ROOT = Path(__file__).parents[2]


async def load(product: FakeProduct, *, seconds: float = 5.0) -> tuple[int, str]:
    """Exit status and all that was printed."""
    options = ["--seconds", str(seconds), "--users", "6", "--herd", "8"]
    async with product.serving():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "loadtest",
            *options,
            "--against",
            product.edge_url,
            product.admin_url,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_a_sound_product_is_loaded_by_all_four_kinds_without_an_error() -> None:
    product = FakeProduct(freeze_after_s=0.5, suspend_after_s=30.0)
    status, printed = await load(product)
    assert status == 0, printed
    assert ", 0 errors" in printed and "not one sample" not in printed
    kinds = {name.partition("-")[0] for name in product.actors}
    assert kinds == {"warm", "cold", "herd", "return"}
    (document,) = product.templates
    assert document["metadata"] == {"namespace": "load", "name": "counter"}


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("silent-wake", "it was suspended, but no cold wake was told"),
        ("wrong-actor", "the answer of load/someone-else came to a caller of"),
        ("unavailable", "status 503"),
    ],
)
async def test_a_broken_product_fails_the_run_with_the_reason(fault: str, complaint: str) -> None:
    status, printed = await load(FakeProduct(faults=frozenset({fault})), seconds=2.0)
    assert status == 1 and complaint in printed


async def test_a23_a_second_copy_under_a_herd_is_noticed() -> None:
    product = FakeProduct(faults=frozenset({"two-copies"}))
    status, printed = await load(product, seconds=3.0)
    assert status == 1 and "herd: two copies" in printed
