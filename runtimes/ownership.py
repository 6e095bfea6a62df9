"""Give an actor its durable files: the tree belongs to its user id before it starts."""

import os
import stat
from pathlib import Path


def give(tree: Path, owner: int) -> None:
    """Own `tree` and all in it, and close it to other users. Follows no link: a link's target is
    not in the tree. Nothing of the actor runs yet, so nothing changes under our hands."""
    _own(tree, owner)
    os.chmod(tree, os.stat(tree).st_mode & 0o7700)
    for directory, folders, files, here in os.fwalk(tree, follow_symlinks=False):
        del directory
        for name in (*folders, *files):
            _own(name, owner, here)


def _own(path: str | Path, owner: int, here: int | None = None) -> None:
    found = os.stat(path, dir_fd=here, follow_symlinks=False)
    # Kept from the last time as a rule; a change costs a write to the disk for each file.
    if (found.st_uid, found.st_gid) == (owner, owner):
        return
    os.chown(path, owner, owner, dir_fd=here, follow_symlinks=False)
    # A chown takes the set-user-id bit away; what an actor set is the actor's.
    if found.st_mode & 0o6000 and not stat.S_ISLNK(found.st_mode):
        os.chmod(path, found.st_mode & 0o7777, dir_fd=here)
