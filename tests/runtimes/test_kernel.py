"""Where what guests boot is looked for."""

from pathlib import Path

import pytest

from runtimes import kernel


def test_it_is_found_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUSE_TOOLS", str(tmp_path))
    assert kernel.find() is None
    place = kernel.place()
    assert place.is_relative_to(tmp_path)
    place.mkdir(parents=True)
    (place / "vmlinuz").touch()
    assert kernel.find() is None
    (place / "initrd").touch()
    assert kernel.find() == kernel.Kernel(place / "vmlinuz", place / "initrd")


def test_another_first_process_is_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kernel.place()
    for source in kernel.SOURCES.glob("*.go"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(kernel, "SOURCES", tmp_path)
    assert kernel.place() == before
    (tmp_path / "main.go").write_text("package main\n")
    assert kernel.place() != before
