"""What a virtual machine is made of, all of it from Debian packages: the kernel, its modules, the archive that the kernel
unpacks as its first root, and qemu. For vm.py (a command on Debian's kernel) and the guests of tests/openstack."""

import ctypes
import lzma
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess

QEMU = "qemu-system-x86_64"
PR_SET_PDEATHSIG = 1


class NoMachine(Exception):
    """The machine cannot be started or did not come up; the text says what to do."""


def version_key(version):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", version)]


def find_kernel(wanted="", needs="kernel/net/ipv4/ipip.ko"):
    """The newest installed kernel that has the module, as (version, image)."""
    versions = [p.name.removeprefix("vmlinuz-") for p in pathlib.Path("/boot").glob("vmlinuz-*")]
    if wanted:
        versions = [v for v in versions if v == wanted]
    usable = [v for v in versions if pathlib.Path(f"/lib/modules/{v}/{needs}").exists()]
    if not usable:
        name = pathlib.Path(needs).stem
        raise NoMachine(f"no Debian kernel in /boot with {name} in /lib/modules: install linux-image-amd64")
    version = max(usable, key=version_key)
    return version, f"/boot/vmlinuz-{version}"


def kernel_file(image):
    """An anonymous file with what qemu is to load; its descriptor. That is the ELF file within a bzImage packed with xz, as
    Debian's is: unpacking it under software emulation would take the machine four seconds more than it takes us."""
    data = pathlib.Path(image).read_bytes()
    setup_sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[(setup_sectors + 1) * 512 + offset :][:length]
    if payload.startswith(b"\xfd7zXZ"):
        data = lzma.LZMADecompressor().decompress(payload)  # what follows, the unpacked length, is ignored
    return memory_file("kernel", data)


def module_files(version, names):
    """Files of the modules and of those they need, in loading order. Built-in ones have none."""
    root = pathlib.Path("/lib/modules") / version
    needs = {}
    for line in (root / "modules.dep").read_text().splitlines():
        name, _, rest = line.partition(":")
        needs[name] = rest.split()
    by_name = {pathlib.Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    built_in = (root / "modules.builtin").read_text()
    order = []
    for name in names:
        path = by_name.get(name)
        if path is None:
            if f"/{name}.ko" not in built_in:
                raise NoMachine(f"kernel {version} has no module {name}")
            continue
        # modules.dep lists what a module needs last first.
        for one in [*reversed(needs[path]), path]:
            if one not in order:
                order.append(one)
    return [root / path for path in order]


class Cpio:
    """An archive in the format that the kernel unpacks as its first root (newc)."""

    def __init__(self):
        self.parts = []
        self.inode = 0

    def add(self, name, mode, content=b""):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self.parts += [self.padded(header + encoded), self.padded(content)]

    def directories(self, *names):
        for name in names:
            self.add(name, stat.S_IFDIR | 0o755)

    def program(self, name, content):
        self.add(name, stat.S_IFREG | 0o755, content if isinstance(content, bytes) else content.encode())

    def text(self, name, content):
        self.add(name, stat.S_IFREG | 0o644, content.encode())

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def modules(self, version, names):
        """modules/NAME.ko and modules/order, which lists the files as they are to be loaded."""
        files = module_files(version, names)
        for file in files:
            self.add(f"modules/{file.name}", stat.S_IFREG | 0o644, file.read_bytes())
        self.text("modules/order", "".join(f"{file.name}\n" for file in files))

    @staticmethod
    def padded(data):
        return data + b"\0" * (-len(data) % 4)

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def busybox():
    path = shutil.which("busybox")
    if path is None:
        raise NoMachine("no busybox: install busybox-static")
    return pathlib.Path(path).read_bytes()


def memory_file(name, content):
    """An anonymous file, which goes with the processes that hold it; its descriptor."""
    descriptor = os.memfd_create(name)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    return descriptor


def start_qemu(arguments, descriptors, **options):
    """Without devices of its own choosing. Dies with the calling thread; Ctrl-C is ours to act on."""
    if shutil.which(QEMU) is None:
        raise NoMachine(f"no {QEMU}: install qemu-system-x86")
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent():
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(
        [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=descriptors,
        preexec_fn=die_with_parent,
        start_new_session=True,
        **options,
    )
