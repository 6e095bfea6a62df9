"""Redirect: the naming of a plain listener that sends every client on to https."""

import re

from gateway.ingress.codec.request import RequestFields
from gateway.ingress.naming import Redirect
from gateway.ingress.seams import Reason, Refusal

_PORT = re.compile(rb":[0-9]*\Z")


class HttpsNaming:
    """Names no actor, so that nothing is forwarded and nothing is woken over plain HTTP."""

    is_door = False

    def __init__(self, port: int = 443) -> None:
        self.port = port

    def name(self, target: bytes, fields: RequestFields) -> Redirect:
        if not fields.host:
            raise Refusal(Reason.BAD_REQUEST, "without Host there is nowhere to redirect to")
        if not target.startswith(b"/"):
            target = b"/"  # OPTIONS *
        host = _PORT.sub(b"", fields.host)
        port = b"" if self.port == 443 else b":%d" % self.port
        return Redirect(location=b"https://%b%b%b" % (host, port, target))
