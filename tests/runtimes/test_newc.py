"""The archive's bytes; that a kernel unpacks them is shown by every guest that boots."""

from runtimes.newc import DEVICE, DIRECTORY, FILE, Entry, archive


def test_every_part_stands_at_a_multiple_of_four() -> None:
    made = archive([Entry("init", FILE | 0o755, b"abcde")])
    assert made[:6] == b"070701" and len(made) % 4 == 0
    at = made.index(b"abcde")
    assert at % 4 == 0 and made[at + 5 : at + 8] == bytes(3)
    assert made.index(b"070701", 6) % 4 == 0


def test_sizes_kinds_and_devices_are_in_the_head() -> None:
    made = archive([Entry("dev/console", DEVICE | 0o600, device=(5, 1))])
    fields = [int(made[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
    assert fields[1] == 0o020600 and fields[6] == 0
    assert (fields[9], fields[10], fields[11]) == (5, 1, len("dev/console") + 1)


def test_the_same_entries_are_the_same_bytes() -> None:
    entries = [Entry("dev", DIRECTORY | 0o755), Entry("init", FILE | 0o755, b"x")]
    assert archive(entries) == archive(entries)
    assert archive([]).endswith(b"TRAILER!!!" + bytes(4))
