"""Whether this machine's processor runs guests itself. The device node alone says nothing. Blocks.

There are kernels that have the node, and even make a machine, on a processor that cannot run a
guest (nested, without vmx or svm): such a guest never gets past its first instructions.
"""

import fcntl
import os
import platform
from pathlib import Path

NODE = Path("/dev/kvm")
CPUINFO = Path("/proc/cpuinfo")
API_VERSION = 12
_GET_API_VERSION, _CREATE_VM = 0xAE00, 0xAE01


def why_not(node: Path = NODE, cpuinfo: Path = CPUINFO) -> str:
    """Empty when it does."""
    try:
        kvm = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{node}: {error.strerror}"
    try:
        version = fcntl.ioctl(kvm, _GET_API_VERSION, 0)
        if version != API_VERSION:
            return f"{node} speaks version {version}, not {API_VERSION}"
        os.close(fcntl.ioctl(kvm, _CREATE_VM, 0))
    except OSError as error:
        return f"{node} makes no machine: {error.strerror}"
    finally:
        os.close(kvm)
    if platform.machine() == "x86_64" and not features(cpuinfo) & {"vmx", "svm"}:
        return "the processor has neither vmx nor svm"
    return ""


def features(cpuinfo: Path = CPUINFO) -> set[str]:
    """What the processor can do, as a guest of it may come to rely on."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return set()
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(words.split())
    return set()
