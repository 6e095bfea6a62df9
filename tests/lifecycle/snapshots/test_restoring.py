"""A manifest is opened only as itself; the rest of a restore is seen in test_vault."""

from pathlib import Path

import pytest

from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import Manifest, ManifestInvalid, encode
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.packs import Packer
from lifecycle.snapshots.restoring import Restoring, open_manifest
from lifecycle.snapshots.saving import Saving
from lifecycle.snapshots.seal import MANIFEST, Damaged, Seal
from lifecycle.snapshots.threads import Stop, Stopped
from tests.lifecycle.snapshots.trees import facts, plant

HOME = Home("demo", "u-1")
KEYS = Keys(bytes(32)).of("demo")
NAME = new_name(1)


def saved(root: Path) -> tuple[Manifest, bytes]:
    saving = Saving(Packer(HOME, KEYS, 1, {}), {"/data": root})
    assert saving.next_parcel(Stop()) is None
    manifest, parcel = saving.manifest(NAME, None)
    return manifest, parcel.body


def resealed(manifest: Manifest, **changed: object) -> bytes:
    fields = {name: getattr(manifest, name) for name in Manifest.__struct_fields__} | changed
    seal = Seal.new(KEYS, HOME.manifest(NAME), MANIFEST)
    return seal.head + seal.shut(0, encode(Manifest(**fields)))


def test_what_was_saved_is_laid_out_again(tmp_path: Path) -> None:
    root = plant(tmp_path / "in", {"a/b": b"1", "c": b""})
    manifest, body = saved(root)
    assert open_manifest(KEYS, HOME, NAME, body) == manifest
    restoring = Restoring(manifest, {"/data": tmp_path / "out"}, None)
    assert restoring.packs == ()
    restoring.lay(Stop())
    restoring.finish(Stop())
    assert facts(tmp_path / "out") == facts(root)


def test_a_manifest_that_says_it_is_anothers_is_refused(tmp_path: Path) -> None:
    manifest, _ = saved(plant(tmp_path / "in", {}))
    for changed in ({"uid": "u-2"}, {"namespace": "other"}, {"name": new_name(1)}):
        with pytest.raises(ManifestInvalid, match="another snapshot"):
            open_manifest(KEYS, HOME, NAME, resealed(manifest, **changed))


def test_inline_contents_that_are_not_what_was_saved_are_refused(tmp_path: Path) -> None:
    manifest, _ = saved(plant(tmp_path / "in", {"f": b"hello"}))
    with pytest.raises(Damaged, match="not the one that was saved"):
        open_manifest(KEYS, HOME, NAME, resealed(manifest, inline=b"hullo"))


def test_stopped_before_it_laid_it_leaves_nothing(tmp_path: Path) -> None:
    manifest, _ = saved(plant(tmp_path / "in", {"f": b"hello"}))
    restoring = Restoring(manifest, {"/data": tmp_path / "out"}, None)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        restoring.lay(stop)
    restoring.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
