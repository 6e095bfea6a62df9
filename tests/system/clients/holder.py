"""A client that was served and lives on: argv is a mark in hex, and where it says so. When the file
`go` is there too, it dies by SIGABRT, which leaves a core where that is allowed."""

import os
import sys
import time
import urllib.request
from pathlib import Path

mark, home = bytes.fromhex(sys.argv[1]).decode(), Path(os.environ["ROUSE_DATA"])
asked = urllib.request.Request("https://llm.test/hello", headers={"X-Mark": mark})
said = urllib.request.urlopen(asked)
assert said.read() == b"hello"
(home / "served").touch()
while not (home / "go").exists():
    time.sleep(0.05)
os.chdir(home)
os.abort()
