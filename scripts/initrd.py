"""Put together the first files of a microvm's guest: our first process, and the drivers it loads.

python3 scripts/initrd.py                          where they belong
python3 scripts/initrd.py INIT MODULES TARGET      from a program and a kernel's modules
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runtimes import kernel, newc

DRIVERS = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_mmio.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "fs/fuse/fuse.ko",
)
"""In the order in which they need each other."""


def pack(init: Path, modules: Path) -> bytes:
    """Raises OSError where a driver is missing."""
    (drivers,) = modules.glob("*/kernel")
    names = [Path(driver).name for driver in DRIVERS]
    folders = ("dev", "proc", "modules")
    return newc.archive(
        [
            *(newc.Entry(name, newc.DIRECTORY | 0o755) for name in folders),
            newc.Entry("dev/console", newc.DEVICE | 0o600, device=(5, 1)),
            newc.Entry("init", newc.FILE | 0o755, init.read_bytes()),
            newc.Entry("modules/order", newc.FILE | 0o644, "\n".join(names).encode()),
            *(
                newc.Entry(f"modules/{name}", newc.FILE | 0o644, (drivers / driver).read_bytes())
                for name, driver in zip(names, DRIVERS, strict=True)
            ),
        ]
    )


def main(words: list[str]) -> None:
    if not words:
        sys.stdout.write(f"{kernel.place()}\n")
        return
    init, modules, target = map(Path, words)
    target.write_bytes(pack(init, modules))


if __name__ == "__main__":
    main(sys.argv[1:])
