"""AWS Signature Version 4, by botocore, in place of the one an actor made without a key."""

import hashlib

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.egress import heads
from gateway.egress.ask import Fields

_SIGNED_ANEW = ("authorization", "x-amz-date", "x-amz-security-token", "date")
UNSIGNED = "UNSIGNED-PAYLOAD"


def needs_body(service: str, fields: Fields) -> bool:
    """S3 takes a hash that the client said, or none; all others sign the body."""
    return service != "s3" and not any(name == "x-amz-content-sha256" for name, _ in fields)


def sign(
    method: str,
    url: str,
    fields: Fields,
    body: bytes | None,
    *,
    keys: tuple[str, str, str | None],
    service: str,
    region: str,
) -> Fields:
    """The fields with a signature over them. `body`: None where it is not known."""
    fields = heads.without(fields, _SIGNED_ANEW)
    said = next((value for name, value in fields if name == "x-amz-content-sha256"), None)
    digest = said or (UNSIGNED if body is None else hashlib.sha256(body).hexdigest())
    if digest.startswith("STREAMING-"):
        # Chunks that are signed one by one with a key that the actor does not have.
        raise ValueError("a body signed in chunks can't be signed anew")
    signed = {"x-amz-content-sha256": digest} if service == "s3" or said else {}
    request = AWSRequest(method=method, url=url, headers=signed, data=body or b"")
    if service == "s3" or body is None or said:
        request.context["payload_signing_enabled"] = False
    credentials = Credentials(*keys)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(credentials, service, region)
    if said or body is None:
        signer.payload = lambda _request: digest
    signer.add_auth(request)
    for name, value in request.headers.items():
        fields = heads.set_field(fields, name.lower(), value)
    return fields
