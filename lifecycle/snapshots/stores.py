"""Stores: a store from the URL that a configuration names, with the retries around it."""

import random
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from lifecycle.snapshots.base import Store
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.retrying import Retrying
from lifecycle.snapshots.s3 import S3Store

BUDGET_S = 20.0
"""For one operation with all its repeats; a wake's own deadline may end it sooner."""
LOCAL_BUDGET_S = 2.0
"""Of a directory: a full disk does not pass in seconds, and until we say so an actor whose suspend
was asked for answers nobody."""


class StoreUrlInvalid(ValueError):
    """The URL names no store; the message says what one looks like."""


def open_store(url: str, *, budget_s: float | None = None) -> Store:
    """`file:///directory` or `s3://bucket/prefix?endpoint=URL&region=NAME`."""
    if budget_s is None:
        budget_s = LOCAL_BUDGET_S if url.startswith("file:") else BUDGET_S
    return Retrying(_bare(url), budget_s=budget_s, chance=random.Random())


def _bare(url: str) -> Store:
    parts = urlsplit(url)
    if parts.username or parts.password:
        # Not quoted: it would show the secret.
        raise StoreUrlInvalid("credentials do not belong in a store's URL: use AWS_* variables")
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        if parts.query:
            raise StoreUrlInvalid(f"a file store has no options: {url!r}")
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        endpoint = options.pop("endpoint", None)
        region = options.pop("region", None)
        if options:
            raise StoreUrlInvalid(f"an s3 store knows endpoint and region, not {sorted(options)}")
        return S3Store(parts.netloc, unquote(parts.path), endpoint_url=endpoint, region=region)
    raise StoreUrlInvalid(
        f"{url!r} is neither file:///directory nor s3://bucket/prefix?endpoint=URL&region=NAME"
    )
