"""The S3 server of the whole run, as this room's tests want it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.objectstore import S3Server


@pytest.fixture(scope="session")
def s3_endpoint(s3_server: "S3Server") -> str:
    """URL of a running server with BUCKET and one key pair, which the environment then holds."""
    return s3_server.endpoint
