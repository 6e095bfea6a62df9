"""Trees for tests: make one, change one, and say all that a snapshot promises to keep of one."""

import os
import stat
from pathlib import Path

Facts = dict[str, tuple[object, ...]]


def facts(root: Path) -> Facts:
    """Path -> everything that must be the same after a restore."""
    told: Facts = {}
    inodes: dict[int, str] = {}
    for top, directories, files in os.walk(root):
        for name in [".", *files, *(d for d in directories if os.path.islink(f"{top}/{d}"))]:
            path = os.path.normpath(os.path.join(top, name))
            about = os.lstat(path)
            mode = stat.S_IMODE(about.st_mode)
            key = os.path.relpath(path, root)
            if stat.S_ISLNK(about.st_mode):
                told[key] = ("l", os.readlink(path), about.st_mtime_ns)
            elif stat.S_ISDIR(about.st_mode):
                told[key] = ("d", mode, about.st_mtime_ns)
            elif stat.S_ISREG(about.st_mode):
                first = inodes.setdefault(about.st_ino, key)
                body = Path(path).read_bytes()
                told[key] = ("f", mode, about.st_mtime_ns, body, about.st_nlink, first == key)
    return told


def plant(root: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    root.mkdir(parents=True, exist_ok=True)
    return root
