"""An actor that read its CA once, when it began: each GET calls out with what is in its memory."""

import http.client
import json
import os
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
proxy = urlsplit(os.environ["HTTPS_PROXY"])
WHERE = proxy.hostname or ""
calls = 0


class Remembering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        global calls
        calls += 1
        try:
            out = http.client.HTTPSConnection(WHERE, proxy.port, context=trust, timeout=20)
            out.set_tunnel("llm.test", 443)
            out.request("GET", "/hello")
            said = out.getresponse().read().decode()
        except OSError as error:
            said = repr(error)
        body = json.dumps({"calls": calls, "said": said}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Remembering).serve_forever()
