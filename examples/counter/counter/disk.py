"""What must survive: the file counter, named files and numbered records. Nothing is told before it
is on the disk (fsync of the file, then of the directory that names it)."""

from __future__ import annotations

import os

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def is_file_name(name):
    """One path segment of plain letters: it cannot leave the directory, nor hide in it."""
    return 0 < len(name) <= 100 and name[0] != "." and LETTERS.issuperset(name)


class Disk:
    """The durable directory. One thread uses it, so that no lock is needed."""

    def __init__(self, root):
        self.root = root
        self.files = os.path.join(root, "files")
        os.makedirs(self.files, exist_ok=True)
        self.count = self._read_count()
        self._records = os.open(self._path("records"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.record_count, self._records_end = self._sound_records()
        _sync_directory(root)

    def _path(self, name):
        return os.path.join(self.root, name)

    def _read_count(self):
        try:
            with open(self._path("count"), encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 0

    def raise_count(self):
        """One more, whole or not at all: a crash leaves the old number or the new one."""
        self._replace(self._path("count"), f"{self.count + 1}\n".encode())
        self.count += 1
        return self.count

    def _replace(self, path, data):
        part = path + ".part"
        with open(part, "wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_directory(os.path.dirname(path))

    def keep_file(self, name, part):
        """Give the complete, synced scratch file `part` its name."""
        os.replace(part, self.file(name))
        _sync_directory(self.files)

    def file(self, name):
        return os.path.join(self.files, name)

    def file_names(self):
        return sorted(name for name in os.listdir(self.files) if is_file_name(name))

    def scratch(self, label):
        """A new file for a body of unknown size, out of sight of `file_names`."""
        path = os.path.join(self.files, f".{label}.part")
        return path, open(path, "w+b", buffering=0)

    def _sound_records(self):
        """How many records are whole, and where they end. A torn last line is cut off: it was
        never acknowledged."""
        count = end = seen = 0
        while block := os.pread(self._records, 1 << 20, seen):
            count += block.count(b"\n")
            if (last := block.rfind(b"\n")) >= 0:
                end = seen + last + 1
            seen += len(block)
        if seen != end:
            os.ftruncate(self._records, end)
            os.fsync(self._records)
        return count, end

    def append_record(self, line):
        """Append one line and return its number, which is known to nobody before it is safe."""
        try:
            data = line + b"\n"
            if os.write(self._records, data) != len(data):
                raise OSError(28, "no space left for the whole record")
            os.fsync(self._records)
        except OSError:
            os.ftruncate(self._records, self._records_end)
            raise
        self._records_end += len(data)
        self.record_count += 1
        return self.record_count

    def read_records(self, offset, size):
        return os.pread(self._records, min(size, self._records_end - offset), offset)


def _sync_directory(path):
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
