"""The wheel's build hook: compile the modules on the path of every request, where a C compiler is.

The sources stay what they are and go into the wheel as well; a wheel without the compiled ones is
slower and does the same. An editable install is never compiled: an edit must not be ignored.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = (
    *(f"gateway/ingress/codec/{name}.py" for name in ("grammar", "body", "request", "response")),
    *(
        f"gateway/ingress/{name}.py"
        for name in (
            *("accesslog", "asked", "client", "conversation", "crowds", "exchange", "failures"),
            *("fields", "finding", "hop", "meters", "naming", "parking", "parts", "seams"),
            *("secured", "settings", "shaping", "tunnel", "upstream"),
        )
    ),
    "gateway/tls.py",
    "gateway/wiring/edge.py",
    "lifecycle/host/door.py",
    "lifecycle/host/gate.py",
    "placement/tenure.py",
)
"""One group: calls between them are jumps, so what the warm path passes through is all here."""

PROGRAM = """\
import sys
from mypyc.build import mypycify
from setuptools import Distribution

target, *modules = sys.argv[1:]
options = ["--config-file=", "--ignore-missing-imports", "--no-warn-unused-ignores"]
made = mypycify([*options, *modules], opt_level="3", target_dir=f"{target}/c")
build = Distribution({"name": "rouse", "ext_modules": made}).get_command_obj("build_ext")
build.build_lib, build.build_temp = f"{target}/lib", f"{target}/objects"
build.ensure_finalized()
build.run()
"""


class CompileHook(BuildHookInterface[Any]):
    """`ROUSE_PURE=1` leaves it out; `ROUSE_COMPILE=1` makes a failure to compile an error."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or os.environ.get("ROUSE_PURE"):
            return
        self._scratch = Path(tempfile.mkdtemp(prefix="rouse-build-"))
        command = [sys.executable, "-c", PROGRAM, str(self._scratch), *MODULES]
        done = subprocess.run(
            command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            if os.environ.get("ROUSE_COMPILE"):
                raise SystemExit(f"{done.stdout}\nthe relay could not be compiled")
            why = done.stdout.strip().rpartition("\n")[2]
            self.app.display_warning(f"not compiled, so slower (a C compiler is needed): {why}")
            return
        lib = self._scratch / "lib"
        for path in lib.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
            build_data["force_include"][str(path)] = str(path.relative_to(lib))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_scratch"):
            shutil.rmtree(self._scratch)
