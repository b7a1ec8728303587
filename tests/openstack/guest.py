"""A machine: a namespace with one interface, what DHCP told it, and the probes it can send and answer.

Every probe has a source port, identifier or payload of its own, in turn: to connection tracking it is never the continuation of an
earlier one, which it would let through whatever the policy now says.
"""

import concurrent.futures
import contextlib
import ctypes
import itertools
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading
import time

from neutron_server import wait_for

CLONE_NEWNET = 0x40000000
TCP_PORTS = (22, 80, 81, 443, 5432)
UDP_PORTS = (53, 123)
RAW_PROTOCOL = 112  # VRRP; no kernel answers it
PATIENCE = 0.4      # until a probe counts as dropped, in seconds
# Below the kernel's own range, so that nothing else comes from there.
_source_ports = itertools.cycle(range(10000, 32000))
_identifiers = itertools.cycle(range(1, 0x10000))
_libc = ctypes.CDLL(None, use_errno=True)


def set_network(descriptor):
    """Moves the calling thread into the network that the descriptor is of."""
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns')


def enter_network(path):
    with open(path) as namespace:
        set_network(namespace.fileno())


def in_network(path, work):
    """work() on a thread of its own inside the network; its result or its exception."""
    with concurrent.futures.ThreadPoolExecutor(1, initializer=enter_network, initargs=(path,)) as thread:
        return thread.submit(work).result()


def run(*arguments, check=True, timeout=60):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError('%s: %s%s' % (' '.join(str(a) for a in arguments), done.stdout, done.stderr))
    return done


def _family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def _socket(address, kind, source=None):
    probe = socket.socket(_family(address), kind)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            probe.bind((source or '', next(_source_ports)))
            return probe
        except OSError as error:
            if error.errno != 98:  # in use: the next one
                raise


def _checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Guest:

    def __init__(self, cloud, name, port, host):
        self.cloud, self.name, self.port, self.host = cloud, name, port, host
        self.namespace = '%s-%s' % (cloud.name, name)
        self.tap = 'tap' + port['id'][:11]
        self.lease = {}
        self._listeners = []
        self._heard = set()  # payloads of raw probes
        self._news = threading.Condition()
        self._stop, self._stopped = os.pipe()
        self._answering = None
        self._pool = None

    @property
    def address(self):
        return self.address_of(4)

    def address_of(self, family):
        return next(ip['ip_address'] for ip in self.port['fixed_ips'] if (':' in ip['ip_address']) == (family == 6))

    # Nova's and libvirt's part.

    def plug(self):
        """A tap with the MAC address and the MTU that Neutron said."""
        run('ip', 'netns', 'add', self.namespace)
        # No pause for detecting duplicates.
        self.in_network(lambda: [pathlib.Path('/proc/sys/net/ipv6/conf/%s/accept_dad' % name).write_text('0') for name in ('all', 'default')])
        self._wire()

    def _wire(self):
        mac = self.port['binding:vif_details']['mac_address']
        run('ip', '-n', self.namespace, 'link', 'add', 'eth0', 'address', self.port['mac_address'], 'type', 'veth', 'peer', 'name',
            self.tap, 'address', mac)
        run('ip', '-n', self.namespace, 'link', 'set', self.tap, 'netns', self.cloud.holder(self.host))
        self.cloud.on_host(self.host, 'ip', 'link', 'set', self.tap, 'up')
        for link in ('lo', 'eth0'):
            run('ip', '-n', self.namespace, 'link', 'set', link, 'up')

    def move(self, host, port):
        """The machine stops here and starts there, with what Neutron now says of its port."""
        run('ip', '-n', self.namespace, 'link', 'del', 'eth0')
        self.host, self.port = host, port
        self._wire()
        self.boot()

    # The machine's own.

    def ask(self, tries=20):
        """What DHCP says, by udhcpc's names; nothing is configured. Empty if nobody answers."""
        told = self.cloud.folder / (self.name + '.lease')
        told.unlink(missing_ok=True)
        subprocess.run(['ip', 'netns', 'exec', self.namespace, 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', str(tries), '-T', '1',
                        '-O', 'mtu', '-O', 'staticroutes', '-s', self.cloud.client_script], timeout=tries + 60,
                       env=dict(os.environ, LEASE_FILE=str(told)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return dict(line.split('=', 1) for line in told.read_text().splitlines() if '=' in line) if told.exists() else {}

    def boot(self, tries=20):
        """DHCP, as a machine's init does; configures what it is told. Returns the lease by udhcpc's names."""
        self.lease = self.ask(tries)
        if not self.lease:
            raise TimeoutError('%s: no answer from DHCP' % self.name)
        run('ip', '-n', self.namespace, 'address', 'replace', '%s/%s' % (self.lease['ip'], self.lease['mask']), 'dev', 'eth0')
        run('ip', '-n', self.namespace, 'link', 'set', 'eth0', 'mtu', self.lease.get('mtu', '1500'))
        run('ip', '-n', self.namespace, 'route', 'replace', 'default', 'via', self.lease['router'].split()[0], 'dev', 'eth0')
        if not self._listeners:
            self._listen()
        return self.lease

    def boot6(self):
        """A router by its advertisement, and the address by DHCPv6 if the advertisement says so, else the one the kernel made."""
        managed = self.in_network(self.solicit)
        wait_for('an IPv6 router', lambda: 'via fe80' in self._ip6('route', 'show', 'default'), 20)
        if managed:
            run('ip', '-n', self.namespace, 'address', 'replace', self.ask6() + '/128', 'dev', 'eth0')
        wait_for('an IPv6 address', lambda: self.addresses6(), 20)

    def addresses6(self):
        return [line.split()[3].split('/')[0] for line in self._ip6('-o', 'address', 'show', 'dev', 'eth0', 'scope', 'global').splitlines()]

    def _ip6(self, *arguments):
        return run('ip', '-n', self.namespace, '-6', *arguments, check=False).stdout

    @staticmethod
    def solicit():
        """Whether the router says that DHCPv6 has the addresses."""
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            for _ in range(60):
                with contextlib.suppress(OSError):  # no link-local address yet
                    probe.sendto(bytes((133, 0, 0, 0, 0, 0, 0, 0)), ('ff02::2', 0, 0, socket.if_nametoindex('eth0')))
                while select.select([probe], [], [], 0.5)[0]:
                    data = probe.recv(2048)
                    if data[0] == 134:
                        return bool(data[5] & 0x80)
        raise TimeoutError('no router advertisement')

    def ask6(self, seconds=30):
        """The address that DHCPv6 gives; empty if nobody answers. The identifier (LL) stays the same, as that of one machine."""
        told, leases = (self.cloud.folder / (self.name + suffix) for suffix in ('.lease6', '.leases6'))
        for file in (told, leases):
            file.unlink(missing_ok=True)
        settings = self.cloud.folder / (self.name + '.dhclient')
        settings.write_text('timeout %d;\n' % seconds)
        client = subprocess.Popen(['ip', 'netns', 'exec', self.namespace, 'dhclient', '-6', '-1', '-d', '-D', 'LL', '-cf', settings, '-lf', leases, '-pf',
                                   self.cloud.folder / (self.name + '.pid6'), '-e', 'LEASE_FILE=%s' % told, '-sf',
                                   self.cloud.client_script, 'eth0'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for('DHCPv6', lambda: told.exists() or client.poll() is not None, seconds + 30)
        finally:
            client.kill()
            client.wait()
        lease = dict(line.split('=', 1) for line in told.read_text().splitlines() if '=' in line) if told.exists() else {}
        return lease.get('new_ip6_address', '')

    def in_network(self, work):
        """work() on a thread inside the guest's network; its result or its exception."""
        return self.soon_in_network(work).result()

    def soon_in_network(self, work):
        """The same as a future."""
        if not self._pool:
            self._pool = concurrent.futures.ThreadPoolExecutor(32, initializer=enter_network,
                                                               initargs=('/run/netns/' + self.namespace,))
        return self._pool.submit(work)

    def _listen(self):
        def open_all():
            sockets = []
            for kind, ports in ((socket.SOCK_STREAM, TCP_PORTS), (socket.SOCK_DGRAM, UDP_PORTS)):
                for port in ports:
                    one = socket.socket(socket.AF_INET6, kind)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    one.bind(('::', port))
                    if kind == socket.SOCK_STREAM:
                        one.listen(64)
                    sockets.append(one)
            for family in (socket.AF_INET, socket.AF_INET6):
                sockets.append(socket.socket(family, socket.SOCK_RAW, RAW_PROTOCOL))
            for one in sockets:
                one.setblocking(False)  # what was there may be gone when it is fetched
            return sockets

        self._listeners = self.in_network(open_all)
        self._answering = threading.Thread(target=self._answer, daemon=True)
        self._answering.start()

    def _answer(self):
        while True:
            ready, _, _ = select.select([self._stop] + self._listeners, [], [])
            if self._stop in ready:
                return
            for listener in ready:
                with contextlib.suppress(OSError):
                    self._answer_one(listener)

    def _answer_one(self, listener):
        if listener.type == socket.SOCK_STREAM:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.getsockname()[0].encode() + b'\n')
        elif listener.type == socket.SOCK_DGRAM:
            data, sender = listener.recvfrom(2048)
            listener.sendto(data, sender)
        else:
            with self._news:
                self._heard.add(listener.recv(2048)[-8:])
                self._news.notify_all()

    # Probes. Each returns whether it came through, unless it says otherwise.

    def greeting(self, address, port, patience=PATIENCE, source=None):
        """The address at which the machine that answered thinks it was reached; empty if none did."""
        def work():
            with contextlib.suppress(OSError), _socket(address, socket.SOCK_STREAM, source) as probe:
                probe.settimeout(patience)
                probe.connect((address, port))
                return probe.recv(100).decode().strip().replace('::ffff:', '')
            return ''
        return self.soon_in_network(work)

    def tcp(self, address, port, patience=1.0):
        return bool(self.greeting(address, port, patience).result())

    def udp_probe(self, address, port, patience=PATIENCE):
        def work():
            with contextlib.suppress(OSError), _socket(address, socket.SOCK_DGRAM) as probe:
                probe.settimeout(patience)
                probe.sendto(b'?', (address, port))
                return probe.recv(10) == b'?'
            return False
        return self.soon_in_network(work)

    def udp(self, address, port, patience=1.0):
        return self.udp_probe(address, port, patience).result()

    def icmp_probe(self, address, kind, patience=PATIENCE):
        """kind: 'echo', or 'timestamp', which only IPv4 has."""
        def work():
            v6 = ':' in address
            request, reply = {('echo', False): (8, 0), ('timestamp', False): (13, 14), ('echo', True): (128, 129)}[kind, v6]
            identifier = next(_identifiers)
            message = struct.pack('!BBHHH', request, 0, 0, identifier, 1) + bytes(12)
            if not v6:  # the kernel sums up IPv6's itself
                message = message[:2] + struct.pack('!H', _checksum(message)) + message[4:]
            with socket.socket(_family(address), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP) as probe:
                until = time.monotonic() + patience  # whatever else arrives here meanwhile
                with contextlib.suppress(OSError):
                    probe.sendto(message, (address, 0))
                    while select.select([probe], [], [], max(0, until - time.monotonic()))[0]:
                        heard = probe.recv(2048)[0 if v6 else 20:]
                        if heard[0] == reply and heard[4:6] == message[4:6]:
                            return True
            return False
        return self.soon_in_network(work)

    def ping(self, address, patience=1):
        return self.icmp_probe(address, 'echo', patience).result()

    def raw_probe(self, target, address, patience=PATIENCE, source=None):
        """One way: without a reply each stays a new connection, though this protocol has no ports."""
        def work():
            payload = os.urandom(8)
            with socket.socket(_family(address), socket.SOCK_RAW, RAW_PROTOCOL) as probe:
                if source:
                    probe.bind((source, 0))
                with contextlib.suppress(OSError):
                    probe.sendto(payload, (address, 0))
            return target.hears(payload, patience)
        return self.soon_in_network(work)

    def hears(self, payload, patience):
        with self._news:
            return self._news.wait_for(lambda: payload in self._heard, patience)

    def destroy(self):
        os.close(self._stopped)
        if self._answering:
            self._answering.join()
        os.close(self._stop)
        for listener in self._listeners:
            listener.close()
        if self._pool:
            self._pool.shutdown()
        run('ip', 'netns', 'del', self.namespace, check=False)
