"""A guest that is a whole machine: Debian's kernel and busybox under qemu's software emulation, on a tap that is plugged as Nova
plugs it. It knows nothing but what DHCP, router advertisements and the metadata service tell it, and says on its serial console
how far it is. After that it obeys whoever types there.

Console lines `guest: UPTIME WORD TEXT` are its stages:

| word | text |
|---|---|
| kernel | its version; process 1 runs |
| link | the MAC address |
| no-address | five DHCP requests were not answered; it goes on asking |
| address | address/length and gateway, as DHCP said; the MTU it then has |
| address6 | the address that DHCPv6 gave; of images with a client for it |
| no-metadata | the metadata service did not answer; it goes on asking |
| instance | the instance id |
| ping | an address that user data asked for has answered |
| ready | from here on it obeys |
| status | the exit status of a command |
"""

import collections
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

from guest import in_network
from neutron_server import ROOT, wait_for

sys.path.insert(0, str(ROOT / 'tests' / 'lab'))
from machine_parts import Cpio, busybox, find_kernel, kernel_file, memory_file, start_qemu  # noqa: E402

MEMORY_MIB = 128
MODULES = ('virtio_pci', 'virtio_net')
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 0x0002, 0x1000, 0x4000

COMMANDS = ('sh', 'cat', 'echo', 'free', 'grep', 'insmod', 'ip', 'mount', 'ping', 'ping6', 'poweroff', 'sleep', 'stty', 'timeout', 'udhcpc',
            'uname', 'usleep', 'wget')

INIT = """#!/bin/sh
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
stty -echo
stage kernel "$(uname -r)"
while read -r module; do insmod "/modules/$module"; done < /modules/order
ip link set lo up; ip link set eth0 up
stage link "$(cat /sys/class/net/eth0/address)"
until udhcpc -i eth0 -f -q -n -t 5 -T 1 -O mtu -O staticroutes -s /bin/leased > /dev/null 2>&1; do stage no-address; done
[ ! -x /bin/dhclient ] || sh /bin/dhcp6
service=http://169.254.169.254/latest
# Its own -T makes Debian's busybox 1.35 crash, hence timeout.
until instance=$(timeout 3 wget -q -O - $service/meta-data/instance-id 2> /dev/null); do stage no-metadata; sleep 1; done
stage instance "$instance"
timeout 3 wget -q -O /user-data $service/user-data 2> /dev/null && sh /user-data
stage ready
while read -r line; do sh -c "$line" < /dev/null; stage status $?; done
poweroff -f
"""

STAGE = """#!/bin/sh
read -r up _ < /proc/uptime
echo "guest: $up $*" > /dev/ttyS0
"""

# Where the classless routes are given, the router option does not count (RFC 3442).
LEASED = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev eth0
[ -z "$mtu" ] || ip link set eth0 mtu "$mtu"
gateway=${router%% *}
if [ -n "$staticroutes" ]; then
  set -- $staticroutes
  while [ $# -ge 2 ]; do
    case $2 in 0.0.0.0) ip route add "$1" dev eth0 ;; *) ip route add "$1" via "$2" dev eth0 ;; esac
    [ "$1" != 0.0.0.0/0 ] || gateway=$2
    shift 2
  done
else
  ip route add default via "$gateway"
fi
stage address "$ip/$mask" "$gateway" "$(cat /sys/class/net/eth0/mtu)"
"""

# A client waits for its link-local address, as the distributions' scripts do. Its identifier is made up anew at each start, since
# nothing of an earlier one is there: as in a machine that Nova has rebuilt.
DHCP6 = """#!/bin/sh
until ip -6 address show dev eth0 | grep 'scope link' | grep -qv tentative; do usleep 100000; done
until dhclient -6 -1 -cf /dev/null -lf /leases6 -pf /dhclient.pid -sf /bin/leased6 eth0 > /dev/null 2>&1; do sleep 1; done
"""

LEASED6 = """#!/bin/sh
[ "$reason" = BOUND6 ] || exit 0
ip address add "$new_ip6_address/128" dev eth0
stage address6 "$new_ip6_address"
"""

# For user data: until the address has answered.
FIRST_PING = """#!/bin/sh
case $1 in *:*) ping=ping6 ;; *) ping=ping ;; esac
until $ping -c 1 -W 1 "$1" > /dev/null 2>&1; do usleep 100000; done
stage ping "$1"
"""


def shared_libraries(program):
    """What it is linked with, the loader included, by absolute path."""
    listed = subprocess.run(['ldd', program], check=True, capture_output=True, text=True).stdout
    return re.findall(r'(/\S+) \(0x', listed)


def add_dhcp6(archive):
    program = shutil.which('dhclient') or '/sbin/dhclient'
    libraries = shared_libraries(program)
    archive.directories(*sorted({str(parent)[1:] for library in libraries for parent in pathlib.Path(library).parents} - {''}))
    for library in libraries:
        archive.program(library[1:], pathlib.Path(library).read_bytes())
    archive.program('bin/dhclient', pathlib.Path(program).read_bytes())
    archive.program('bin/dhcp6', DHCP6)
    archive.program('bin/leased6', LEASED6)


def initial_file_system(version, dhcp6):
    archive = Cpio()
    archive.directories('bin', 'dev', 'proc', 'sys', 'modules')
    archive.program('bin/busybox', busybox())
    for command in COMMANDS:
        archive.link('bin/' + command, 'busybox')
    archive.modules(version, MODULES)
    for name, text in (('init', INIT), ('bin/stage', STAGE), ('bin/leased', LEASED), ('bin/first-ping', FIRST_PING)):
        archive.program(name, text)
    if dhcp6:
        add_dhcp6(archive)
    return archive.bytes()


class Image:
    """Kernel and initial file system, built once for any number of machines; if wanted with ISC's client for DHCPv6, which is not
    part of busybox."""

    def __init__(self, dhcp6=False):
        self.version, image = find_kernel(needs='kernel/drivers/net/virtio_net.ko')
        self.kernel = kernel_file(image)
        self.initrd = memory_file('initrd', initial_file_system(self.version, dhcp6))

    def close(self):
        os.close(self.kernel)
        os.close(self.initrd)


Stage = collections.namedtuple('Stage', 'when uptime word text')  # when: of time.monotonic(); uptime: the machine's own clock


def open_tap(namespace, name):
    """A tap in another network namespace; its descriptor, with which it goes."""
    def work():
        descriptor = os.open('/dev/net/tun', os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return descriptor
    return in_network(namespace, work)


class VirtualMachine:
    def __init__(self, cloud, image, name, port, host):
        self.cloud, self.image, self.name, self.port, self.host = cloud, image, name, port, host
        self.tap = 'tap' + port['id'][:11]
        self.log = pathlib.Path(cloud.folder) / (name + '.console')
        self.stages = []
        self.plugged = self.started = None  # time.monotonic()
        self._tap = self._console = self._process = None

    def _address(self, colon):
        return next(ip['ip_address'] for ip in self.port['fixed_ips'] if (':' in ip['ip_address']) == colon)

    @property
    def address(self):
        return self._address(False)

    @property
    def address6(self):
        return self._address(True)

    def plug(self):
        """As Nova and libvirt do: a tap with the MAC address and the MTU that Neutron said."""
        details = self.port['binding:vif_details']
        self._tap = open_tap('/proc/%d/ns/net' % self.cloud.holder(self.host), self.tap)
        mtu = self.cloud.neutron.show('network', self.port['network_id'])['mtu']
        self.plugged = time.monotonic()  # before the command, which takes some hundredths of a second
        self.cloud.on_host(self.host, 'ip', 'link', 'set', self.tap, 'address', details['mac_address'], 'mtu', mtu, 'up')

    def boot(self):
        """Switches it on and returns."""
        ours, theirs = socket.socketpair()
        kernel, initrd, tap, console = self.image.kernel, self.image.initrd, self._tap, theirs.fileno()
        arguments = [
            '-machine', 'q35', '-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', str(MEMORY_MIB),
            '-kernel', '/proc/self/fd/%d' % kernel, '-initrd', '/proc/self/fd/%d' % initrd,
            '-append', 'console=ttyS0 loglevel=3 panic=-1 mitigations=off nokaslr',
            '-chardev', 'socket,id=console,fd=%d,logfile=%s' % (console, self.log), '-serial', 'chardev:console',
            '-netdev', 'tap,id=net,fd=%d' % tap,
            '-device', 'virtio-net-pci,romfile=,netdev=net,mac=' + self.port['mac_address'],
        ]  # fmt: skip
        with open(self.log.with_suffix('.qemu'), 'wb') as complaints:
            self.started = time.monotonic()
            self._process = start_qemu(arguments, [kernel, initrd, tap, console], stderr=complaints)
        theirs.close()
        os.close(self._tap)  # the tap is qemu's now
        self._tap = None
        self._console = ours
        threading.Thread(target=self._listen, args=(ours,), daemon=True).start()

    def _listen(self, console):
        unfinished = ''
        with contextlib.suppress(OSError):
            while data := console.recv(65536):
                now = time.monotonic()
                *lines, unfinished = (unfinished + data.decode(errors='replace')).split('\n')
                for line in lines:
                    if found := re.search(r'guest: ([0-9.]+) (\S+) ?(.*)', line.rstrip('\r')):
                        self.stages.append(Stage(now, float(found.group(1)), found.group(2), found.group(3)))

    def running(self):
        return self._process is not None and self._process.poll() is None

    def stage(self, word):
        """The first of that name, or None."""
        return next((stage for stage in list(self.stages) if stage.word == word), None)

    def wait(self, word, seconds=120):
        """The first stage of that name; an exception with the end of the console if it does not come."""
        try:
            wait_for('%s of %s' % (word, self.name), lambda: self.stage(word) or not self.running(), seconds)
        except TimeoutError as late:
            raise TimeoutError('%s\n%s' % (late, self.console())) from None
        if not self.stage(word):
            raise RuntimeError('%s has ended before "%s":\n%s' % (self.name, word, self.console()))
        return self.stage(word)

    def console(self):
        """The end of what it said, qemu's own complaints included."""
        texts = [path.read_text(errors='replace')[-2000:] for path in (self.log, self.log.with_suffix('.qemu')) if path.exists()]
        return '\n'.join(texts)

    def type(self, line):
        self._console.sendall(line.encode() + b'\n')

    def run(self, command, seconds=60):
        """Exit status of a command line. One at a time, and only once it is ready."""
        def said():
            return [stage for stage in list(self.stages) if stage.word == 'status']
        before = len(said())
        self.type(command)
        return int(wait_for('%s: %s' % (self.name, command), lambda: said()[before:], seconds)[0].text)

    def ping(self, address, count=1):
        """Whether an echo comes back within a second, of `count` that are sent."""
        program = 'ping6' if ':' in address else 'ping'
        return self.run('%s -c %d -W 1 %s > /dev/null 2>&1' % (program, count, address)) == 0

    def power_off(self, seconds=30):
        """qemu's exit status."""
        self.type('poweroff -f')
        return self._process.wait(seconds)

    def destroy(self):
        """Pulls the plug, if it is still in; the tap goes with the machine."""
        if self.running():
            self._process.kill()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        if self._console is not None:
            self._console.close()
            self._console = None
        if self._tap is not None:
            os.close(self._tap)
            self._tap = None
