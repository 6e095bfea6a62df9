"""Where rouse keeps its files on this machine, and where a running one says how to reach it."""

from collections.abc import Mapping
from pathlib import Path


def data_dir(environ: Mapping[str, str]) -> Path:
    """ROUSE_DATA_DIR, else the user's state directory (XDG base directories)."""
    if chosen := environ.get("ROUSE_DATA_DIR"):
        return Path(chosen).absolute()
    state = environ.get("XDG_STATE_HOME", "")
    # The specification wants relative values ignored.
    base = Path(state) if state.startswith("/") else Path(environ.get("HOME", "/")) / ".local/state"
    return base / "rouse"


def admin_url_file(directory: Path) -> Path:
    """Holds the admin URL of the `rouse up` that runs over this data directory."""
    return directory / "admin.url"
