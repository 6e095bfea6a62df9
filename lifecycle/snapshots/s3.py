"""S3Store: objects in a bucket, made with If-None-Match so that no name is ever written twice.

One client for the store's life, made at the first call. Credentials come by the usual chain
(environment, profile, instance) and appear in no log or error.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from lifecycle.snapshots.base import ObjectExists, ObjectMissing, StoreUnavailable

_CONFIG = AioConfig(
    # Repeating is Retrying's, which knows that a repeated PUT may meet its own object.
    retries={"total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=32,
    # Not every store understands the newer trailing checksums; Content-MD5 they all verify.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class S3Store:
    """Objects below `prefix` in `bucket`. For one event loop."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._endpoint_url = endpoint_url
        self._region = region
        self._stack = AsyncExitStack()
        self._making = asyncio.Lock()
        # Any: botocore makes its clients at run time and publishes no types.
        self._made: Any = None

    def __repr__(self) -> str:
        return f"<S3Store {self._bucket}/{self._prefix}>"

    async def create(self, key: str, body: bytes) -> None:
        client = await self._client()
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        with self._translated(key):
            await client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                ContentMD5=base64.b64encode(digest).decode(),
                IfNoneMatch="*",
            )

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        asked = {"Bucket": self._bucket, "Key": self._prefix + key}
        if offset or length is not None:
            end = "" if length is None else offset + length - 1
            asked["Range"] = f"bytes={offset}-{end}"
        client = await self._client()
        with self._translated(key):
            try:
                answer = await client.get_object(**asked)
            except ClientError as error:
                if _code(error) in ("InvalidRange", "416"):
                    return b""  # begins at or beyond the end
                raise
            async with answer["Body"] as stream:
                body: bytes = await stream.read()
            if len(body) != answer["ContentLength"]:
                raise StoreUnavailable(f"{self._bucket}: the answer for {key} is cut off")
            return body

    async def remove(self, key: str) -> None:
        client = await self._client()
        with self._translated(key):
            await client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        client = await self._client()
        pages = client.get_paginator("list_objects_v2")
        with self._translated(prefix):
            async for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix)

    async def check(self) -> None:
        key = f"_probe/{secrets.token_hex(8)}"
        await self.create(key, b"probe")
        await self.remove(key)

    async def close(self) -> None:
        self._made = None
        await self._stack.aclose()

    async def _client(self) -> Any:
        if self._made is None:
            async with self._making:
                if self._made is None:
                    with self._translated("making the client"):
                        self._made = await self._stack.enter_async_context(
                            get_session().create_client(
                                "s3",
                                endpoint_url=self._endpoint_url,
                                region_name=self._region,
                                config=_CONFIG,
                            )
                        )
        return self._made

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._meaning(error, what) from error
        except (BotoCoreError, HTTPClientError, aiohttp.ClientError, OSError) as error:
            # By class, not by text: botocore's texts can hold signed URLs.
            kind = type(error).__name__
            raise StoreUnavailable(f"bucket {self._bucket}: {kind} ({what})") from error

    def _meaning(self, error: ClientError, what: str) -> Exception:
        code = _code(error)
        # A bare 404 may be any proxy's or a wrong endpoint's: only S3 itself can say it is missing,
        # which is final.
        if code == "NoSuchKey":
            return ObjectMissing(what)
        if code in ("PreconditionFailed", "412"):
            return ObjectExists(what)
        # 409 ConditionalRequestConflict: another request for the same name was under way and its
        # outcome is open; S3 says to try again, which is what StoreUnavailable means.
        return StoreUnavailable(f"bucket {self._bucket}: {code} ({what})")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))[:80]
