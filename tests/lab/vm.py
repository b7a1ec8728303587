#!/usr/bin/env python3
"""Runs a command on Debian's stock kernel, in a virtual machine that lives as long as the command.

    vm.py [--limit SECONDS] [--memory MIB] [--env NAME=VALUE]... [--kernel VERSION] -- COMMAND [ARGUMENT...]

The machine is qemu's software emulation, so it needs neither /dev/kvm nor root, and nothing of the kernel that runs
here. Its root is this system's root, mounted read-only over 9p, with a tmpfs on top for whatever the command writes:
programs in the tree are used as they are, and nothing written inside is ever seen outside. Its kernel is the newest
/boot/vmlinuz-VERSION whose /lib/modules/VERSION has ipip; modules load on demand, as on any Debian host.

The command starts in the caller's working directory as root. What it writes is passed on as it comes; its exit status
becomes ours. 124: the time limit was over; 125: the machine did not get that far, with the end of its console.

Nothing is left behind, however this ends: the machine's initial file system is an anonymous file, its lines to us are
socket pairs, and the kernel kills qemu when we die.
"""

import argparse
import collections
import os
import pathlib
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from machine_parts import Cpio, NoMachine, busybox, find_kernel, kernel_file, memory_file, start_qemu  # noqa: E402

# What mounting the root takes; everything else is loaded from there, by the kernel's own modprobe.
BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
CONSOLE_LINES_KEPT = 40
STATUS_TIME_IS_UP = 124
STATUS_NO_MACHINE = 125

# Process 1 until the root is there. One busybox, no links: each would cost a system call under emulation.
INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev && $b mount -t proc proc /proc && $b mount -t sysfs sys /sys
while read -r module; do $b insmod "/modules/$module"; done < /modules/order
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=1048576,cache=loose root /lower &&
$b mount -t tmpfs -o mode=755 upper /upper && $b mkdir /upper/data /upper/work &&
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /new &&
for place in dev proc sys; do $b mount --move /$place /new/$place; done &&
$b mount -t tmpfs -o mode=755 run /new/run && $b mkdir /new/run/vm /new/run/lock &&
$b cp /bin/busybox /inside /command /new/run/vm/ &&
exec $b switch_root /new /run/vm/busybox sh /run/vm/inside
$b echo "vm: the root file system cannot be mounted"
$b poweroff -f
"""

# Process 1 afterwards. Port 1 carries the command's output, port 2 what we are told about it; the kernel numbers their
# device by its place on the bus.
INSIDE = r"""b=/run/vm/busybox
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts; $b mount -t tmpfs shm /dev/shm
$b hostname vm; $b ip link set lo up
until [ -c /dev/vport*p1 ] && [ -c /dev/vport*p2 ]; do $b usleep 10000; done
output=$($b echo /dev/vport*p1) control=$($b echo /dev/vport*p2)
$b echo up > $control
/bin/sh /run/vm/command < /dev/null > $output 2>&1
$b echo "exit $?" > $control
$b poweroff -f
"""


def initial_file_system(version, command):
    archive = Cpio()
    archive.directories("bin", "dev", "proc", "sys", "lower", "upper", "new", "modules")
    archive.program("bin/busybox", busybox())
    archive.modules(version, BOOT_MODULES)
    archive.program("init", INIT)
    archive.text("inside", INSIDE)
    archive.text("command", command)
    return archive.bytes()


def command_script(words, environment):
    lines = [f"cd {shlex.quote(os.getcwd())} || exit 125"]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    settings = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}
    settings.update(entry.split("=", 1) for entry in environment)
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    lines.append(shlex.join(words))  # not exec: the shell also reaps
    return "\n".join(lines) + "\n"


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


class Machine:
    """One qemu process and its lines: the command's output, its control line, the console, qemu's own complaints."""

    def __init__(self, version, image, memory, command):
        kernel, initrd = kernel_file(image), memory_file("initrd", initial_file_system(version, command))
        ours, theirs = {}, {}
        for line in ("output", "control", "console"):
            ours[line], theirs[line] = socket.socketpair()
        arguments = [
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory),
            "-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{initrd}",
            "-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off nokaslr",
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            "-device", "virtio-serial-pci",
        ]  # fmt: skip
        for line, end in theirs.items():
            arguments += ["-chardev", f"socket,id={line},fd={end.fileno()}"]
        arguments += ["-serial", "chardev:console"]
        for number, line in ((1, "output"), (2, "control")):
            arguments += ["-device", f"virtserialport,nr={number},chardev={line}"]
        passed = [kernel, initrd, *(end.fileno() for end in theirs.values())]
        self.process = start_qemu(arguments, passed, stderr=subprocess.PIPE)
        os.close(kernel)
        os.close(initrd)
        for end in theirs.values():
            end.close()
        self.lines = {**ours, "qemu": self.process.stderr}

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for line in self.lines.values():
            line.close()


class Watcher:
    """Passes the output on and remembers what the machine says about itself."""

    def __init__(self, machine):
        self.machine = machine
        self.told = ""
        self.console = collections.deque(maxlen=CONSOLE_LINES_KEPT)
        self.unfinished = ""
        self.started = time.monotonic()
        self.up = False

    @property
    def status(self):
        found = re.search(r"^exit (\d+)$", self.told, re.MULTILINE)
        return int(found.group(1)) if found else None

    def hear(self, line, data):
        if line == "output":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif line == "control":
            self.told += data.decode(errors="replace")
            if not self.up and "up\n" in self.told:
                self.up = True
                say(f"up after {time.monotonic() - self.started:.1f} s")
        else:
            *whole, self.unfinished = (self.unfinished + data.decode(errors="replace")).split("\n")
            self.console.extend(whole)

    def watch(self, limit):
        """Until qemu has closed its lines; False if the time was over before."""
        with selectors.DefaultSelector() as selector:
            for name, line in self.machine.lines.items():
                selector.register(line, selectors.EVENT_READ, name)
            while selector.get_map():
                left = self.started + limit - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    try:
                        data = os.read(key.fd, 65536)
                    except ConnectionResetError:
                        data = b""
                    if data:
                        self.hear(key.data, data)
                    else:
                        selector.unregister(key.fileobj)
        return True

    def show_console(self):
        for line in [*self.console, self.unfinished]:
            if line.strip():
                say(f"console: {line.rstrip()}")


def run(options):
    version, image = find_kernel(options.kernel)
    say(f"booting Debian's kernel {version} under software emulation")
    machine = Machine(version, image, options.memory, command_script(options.command, options.env))
    watcher = Watcher(machine)
    try:
        in_time = watcher.watch(options.limit)
    finally:
        machine.end()
    took = time.monotonic() - watcher.started
    if watcher.status is not None:
        say(f"ended with status {watcher.status} after {took:.1f} s")
        return watcher.status
    watcher.show_console()
    if not in_time:
        say(f"the time limit of {options.limit} s is over{'' if watcher.up else ', and the machine was not up'}")
        return STATUS_TIME_IS_UP
    raise NoMachine("the machine ended before the command did")


def main():
    parser = argparse.ArgumentParser(description="Runs a command on Debian's stock kernel in a virtual machine.")
    parser.add_argument("--limit", type=float, default=600, help="seconds for all of it (default 600)")
    parser.add_argument("--memory", type=int, default=2048, help="MiB (default 2048)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for the command")
    parser.add_argument("--kernel", default="", metavar="VERSION", help="default: the newest with ipip")
    parser.add_argument("command", nargs="+", help="after --")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run(options)
    except NoMachine as problem:
        say(str(problem))
        return STATUS_NO_MACHINE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
