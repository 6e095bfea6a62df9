"""Which system calls an actor may make of the host's kernel, by class, and with what. Only says.

An allow list, in the way of Docker's, Podman's and Flatpak's, and stricter than theirs in what no
actor needs: debuggers, tracing, io_uring, mounts, namespaces. What no list names answers ENOSYS,
as an older kernel would: programs then take the older way, where EPERM would make them give up.
What is known and refused answers EPERM, which is what they expect of it without privileges.
"""

import errno
import socket
import stat
from collections.abc import Mapping
from typing import NamedTuple

ALLOWED: dict[str, str] = {
    "files": """
        access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
        faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
        fdatasync flock fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 lchown
        link linkat lseek lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pipe
        pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
        readv rename renameat renameat2 rmdir sendfile splice stat statfs statx symlink symlinkat
        sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
        vmsplice write writev cachestat ioctl
    """,
    "extended attributes": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr
        listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
    """,
    "waiting": """
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select
        signalfd signalfd4 io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
    """,
    "memory": """
        brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
        mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        process_mrelease remap_file_pages
    """,
    "processes": """
        arch_prctl capget capset clone execve execveat exit exit_group fork getegid geteuid getgid
        getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit
        getrusage getsid gettid getuid pidfd_open pidfd_send_signal prctl prlimit64 rseq
        set_robust_list get_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid
        setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sysinfo times
        uname unshare vfork wait4 waitid getcpu getrandom
    """,
    "scheduling": """
        futex futex_requeue futex_wait futex_waitv futex_wake ioprio_get ioprio_set
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
        sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield
    """,
    "signals": """
        kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
        rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack tgkill tkill
    """,
    "time": """
        alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer
        time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
        timerfd_gettime timerfd_settime
    """,
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg
        recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair
    """,
    "System V and POSIX IPC": """
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv
        msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget
    """,
    "stricter sandboxes of its own": """
        landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
    """,
}

REFUSED: dict[str, str] = {
    "other processes": """
        ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise
    """,
    "mounts and roots": """
        mount umount2 pivot_root chroot mount_setattr move_mount open_tree fsopen fsconfig fsmount
        fspick name_to_handle_at open_by_handle_at quotactl quotactl_fd swapon swapoff
        fanotify_init fanotify_mark
    """,
    "namespaces": "setns sethostname setdomainname",
    "keyrings, which know no namespaces": "add_key keyctl request_key",
    "the kernel itself": """
        acct bpf delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load
        lookup_dcookie perf_event_open reboot syslog userfaultfd vhangup
    """,
    "the machine's clock and memory": """
        adjtimex clock_adjtime clock_settime settimeofday mbind migrate_pages move_pages
        get_mempolicy set_mempolicy
    """,
}


class Is(NamedTuple):
    """An argument, as far as `bits` of it count."""

    argument: int
    value: int
    bits: int = 0xFFFF_FFFF
    """An int unless told otherwise: the kernel reads 1 << 32 | TIOCSTI as TIOCSTI."""


class AtLeast(NamedTuple):
    argument: int
    value: int


class Rule(NamedTuple):
    """`call` answers `error` where all the tests of its arguments hold."""

    call: str
    error: int
    tests: tuple[Is | AtLeast, ...]


JOIN_SESSION_KEYRING = 1
ENTERING: dict[str, tuple[Is, ...]] = {"setns": (), "keyctl": (Is(0, JOIN_SESSION_KEYRING),)}
"""What a zygote needs beside: its children enter namespaces, and leave its keyring."""

# clone(2), unshare(2). Who makes namespaces is root in them, with all capabilities there: many
# of the kernel's holes of the last years opened from just this.
NAMESPACES = {
    "time": 0x0000_0080,
    "mount": 0x0002_0000,
    "cgroup": 0x0200_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "net": 0x4000_0000,
}
CLONE_SIGNAL = 0xFF
"""These bits of clone's flags are the signal at its end; the time namespace is not for it."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
"""ioctl_tty(2): both put characters into a terminal's input, as if its owner had typed them."""
PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF)
"""personality(2): plain, 32 bits, called a kernel 2.6, both, and the question which it is. Others
switch off what makes an attack hard, such as random addresses."""
DEVICES = (stat.S_IFCHR, stat.S_IFBLK)
KIND = 0o170000
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""Others reach past the network namespace (vsock: the machine's host), or drive protocols that
few look at (packet, ALG, TIPC, CAN, ...)."""
FAMILIES_KNOWN = 46
"""socket(2): no family has this number or a greater one."""
NETLINK_ROUTE = 0
"""netlink(7): which interfaces there are, as libc and every runtime ask."""


def rules() -> list[Rule]:
    """What is refused of a call that is allowed, by its arguments.

    clone3 is in no list: its flags stand in memory, where a filter cannot look, and told ENOSYS
    libc calls clone. So is io_uring, which makes system calls past every filter.
    """
    return [
        *(Rule("ioctl", errno.EPERM, (Is(1, code),)) for code in (TIOCSTI, TIOCLINUX)),
        *(Rule("unshare", errno.EPERM, (Is(0, flag, flag),)) for flag in NAMESPACES.values()),
        *(
            Rule("clone", errno.EPERM, (Is(0, flag, flag),))
            for flag in NAMESPACES.values()
            if flag > CLONE_SIGNAL
        ),
        *(Rule("mknod", errno.EPERM, (Is(1, kind, KIND),)) for kind in DEVICES),
        *(Rule("mknodat", errno.EPERM, (Is(2, kind, KIND),)) for kind in DEVICES),
        *(
            Rule("socket", errno.EAFNOSUPPORT, (Is(0, family),))
            for family in range(FAMILIES_KNOWN)
            if family not in FAMILIES
        ),
        Rule("socket", errno.EAFNOSUPPORT, (AtLeast(0, FAMILIES_KNOWN),)),
        Rule(
            "socket",
            errno.EPROTONOSUPPORT,
            (Is(0, socket.AF_NETLINK), AtLeast(2, NETLINK_ROUTE + 1)),
        ),
    ]


def names(classes: Mapping[str, str]) -> list[str]:
    return [name for listed in classes.values() for name in listed.split()]
