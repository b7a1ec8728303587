"""From power-on to the first ping: where a virtual machine's time goes, and which part of it is Percale's.

Three witnesses, all on this machine's clock:
* the tap, by a packet socket in the host's network (the kernel's time of each packet): DHCP, metadata, pings;
* the kernels' routing tables, the agent's status key in etcd and the port's status in Neutron, looked at every five milliseconds;
* the machine's serial console: when its process 1 ran.
"""

import contextlib
import socket
import struct
import threading
import time

from guest import in_network

PAUSE = 0.005
PACKETS_KEPT = 5000
ETH_P_ALL, PACKET_OUTGOING, SO_TIMESTAMPNS = 3, 4, 35
DHCP_MESSAGES = {1: 'discover', 2: 'offer', 3: 'request', 5: 'ack', 6: 'nak'}
METADATA = socket.inet_aton('169.254.169.254')


def classify(frame):
    """What of a machine's start this packet is: a name and what tells it from others of the name; None for the rest."""
    kind = struct.unpack_from('!H', frame, 12)[0]
    if kind == 0x0800 and len(frame) >= 34:
        header = 14 + (frame[14] & 15) * 4
        protocol, source, target = frame[23], frame[26:30], frame[30:34]
        if protocol == 17:
            return classify_dhcp(frame[header:])
        if protocol == 6 and METADATA in (source, target):
            return classify_metadata(frame[header:], target == METADATA)
        if protocol == 1 and frame[header] in (8, 0):
            return 'echo' if frame[header] == 8 else 'echoed', frame[header + 4:header + 8]
    if kind == 0x86dd and len(frame) >= 62 and frame[20] == 58 and frame[54] in (128, 129):
        return 'echo' if frame[54] == 128 else 'echoed', frame[58:62]
    return None


def classify_dhcp(datagram):
    if set(struct.unpack_from('!HH', datagram)) != {67, 68}:
        return None
    options = datagram[8 + 240:]
    while len(options) > 2 and options[0] != 255:
        if options[0] == 53:
            name = DHCP_MESSAGES.get(options[2])
            return (name, datagram[12:16]) if name else None
        options = options[1:] if options[0] == 0 else options[2 + options[1]:]
    return None


def classify_metadata(segment, asked):
    flags, header = segment[13], (segment[12] >> 4) * 4
    if flags & 2:
        return 'metadata syn' if asked else 'metadata syn-ack', None
    if len(segment) > header:
        return 'metadata question' if asked else 'metadata answer', None
    return None


class TapWatch:
    """Events on a tap from now until close(): list of (time.monotonic(), name, key)."""

    def __init__(self, namespace, tap):
        self.events = []
        self._wall = time.time() - time.monotonic()
        self._socket = in_network(namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.2)
        self._socket.bind((tap, ETH_P_ALL))
        self._open = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        seen = 0
        while self._open and seen < PACKETS_KEPT:
            try:
                frame, extra, _, _ = self._socket.recvmsg(400, 64)
            except TimeoutError:
                continue
            except OSError:
                return  # the tap is gone
            seen += 1
            seconds, nanoseconds = next(struct.unpack('qq', data) for _, kind, data in extra if kind == SO_TIMESTAMPNS)
            with contextlib.suppress(struct.error, IndexError):  # cut short
                if event := classify(frame):
                    self.events.append((seconds + nanoseconds / 1e9 - self._wall, *event))

    def close(self):
        self._open = False
        self._thread.join()
        self._socket.close()

    def first(self, name, after=0.0, key=None):
        """When the first such packet came, or None."""
        return next((when for when, found, mark in list(self.events)
                     if found == name and when >= after and key in (None, mark)), None)

    def answered(self, question, answer, after=0.0):
        """(asked, answered) of the first question that has an answer, or None."""
        for when, name, key in list(self.events):
            if name == question and when >= after:
                reply = self.first(answer, when, key)
                if reply is not None:
                    return when, reply
        return None


class Programming:
    """When a port became what it is to be: from now until everything has come or close()."""

    def __init__(self, cloud, port, other_host, agents_word):
        self.seen = {}  # name -> time.monotonic()
        self._cloud, self._port, self._agents_word = cloud, port, agents_word
        address = next(ip['ip_address'] for ip in port['fixed_ips'] if ':' not in ip['ip_address'])
        wanted = '%08X' % struct.unpack('=I', socket.inet_aton(address))
        host = port['binding:host_id']
        self._checks = {
            'route on %s' % host: self._route(host, wanted),
            'agent': lambda: self._agents_word() == 'up',
            'route on %s' % other_host: self._route(other_host, wanted),
            'ACTIVE': lambda: cloud.neutron.show('port', port['id'])['status'] == 'ACTIVE',
        }
        self.complete = False
        self._open = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _route(self, host, wanted):
        table = '/proc/%d/net/route' % self._cloud.holder(host)

        def there():
            with open(table) as file:
                return any(line.split()[1] == wanted for line in file)
        return there

    def _watch(self):
        while self._open and len(self.seen) < len(self._checks):
            for name, holds in self._checks.items():
                # One after the other costs: the API is asked only once the agent has spoken.
                if name in self.seen or (name == 'ACTIVE' and 'agent' not in self.seen):
                    continue
                if holds():
                    self.seen[name] = time.monotonic()
            time.sleep(PAUSE)
        self.complete = len(self.seen) == len(self._checks)

    def close(self):
        self._open = False
        self._thread.join()


class Boot:
    """Boots a machine of compute.py with all witnesses present."""

    def __init__(self, compute, machine, other_host):
        self.machine, self.other_host = machine, other_host
        cloud, port = compute.cloud, machine.port
        key = '/calico/felix/v2/no-region/host/%s/workload/openstack/%s/endpoint/%s' % (
            machine.host, 'openstack%2f' + port['device_id'], port['id'])
        self.programming = Programming(cloud, port, other_host, lambda: status_of(cloud.etcd.get(key)))
        machine.plug()
        self.tap = TapWatch('/proc/%d/ns/net' % cloud.holder(machine.host), machine.tap)
        machine.boot()

    def close(self):
        self.programming.close()
        self.tap.close()


def status_of(value):
    return value and ('up' if '"up"' in value else 'other')


def milliseconds(seconds):
    return '%.0f ms' % (seconds * 1000) if seconds >= 0.01 else '%.1f ms' % (seconds * 1000)


class Report:
    """What a Boot amounts to. The machine must have had its first ping answered."""

    def __init__(self, boot):
        machine, tap, seen = boot.machine, boot.tap, boot.programming.seen
        self.name, self.host, self.other_host = machine.name, machine.host, boot.other_host
        self.started = machine.started
        self.kernel = machine.stage('kernel').when
        self.discover, self.ack = tap.first('discover'), tap.first('ack')
        self.metadata = tap.answered('metadata question', 'metadata answer')
        self.ping = tap.answered('echo', 'echoed')
        # What it waited for: from its question to the answer.
        offer, request = tap.first('offer', self.discover), tap.first('request', self.discover)
        self.dhcp = (offer - self.discover) + (self.ack - request)
        self.connect = tap.first('metadata syn-ack') - tap.first('metadata syn')
        self.first_echo = self.ping[1] - tap.first('echo')
        # What happened while it booted, since its tap was plugged.
        self.agent, self.active, self.own_route, self.other_route = (seen[name] - machine.plugged for name in (
            'agent', 'ACTIVE', 'route on ' + machine.host, 'route on ' + boot.other_host))

    @property
    def total(self):
        return self.ping[1] - self.started

    @property
    def waited(self):
        return self.dhcp + self.connect + self.first_echo

    @property
    def routed(self):
        """Of ours: until both hosts have its route, and its questions' answers; as if the machine had waited for all of it."""
        return max(self.own_route, self.other_route) + self.waited

    @property
    def reported(self):
        """The same until its port is ACTIVE. That has the agents' pause between reports in it, and Neutron's own work."""
        return max(self.routed, self.active + self.waited)

    def in_order(self):
        moments = [self.started, self.kernel, self.discover, self.ack, *self.metadata, self.ping[1]]
        return moments == sorted(moments)

    def lines(self):
        def share(seconds):
            return '%s (%.2g %%)' % (milliseconds(seconds), 100 * seconds / self.total)

        steps = [('qemu started', self.started), ('kernel up, process 1 runs', self.kernel), ('first DHCPDISCOVER', self.discover),
                 ('DHCPACK', self.ack), ('instance id asked for', self.metadata[0]), ('instance id there', self.metadata[1]),
                 ('first ping answered', self.ping[1])]
        yield '%s on %s' % (self.name, self.host)
        for name, when in steps:
            yield '  %6.2f s  %s' % (when - self.started, name)
        yield '  after plugging its tap: route here %s, route on %s %s, agent says up %s, port ACTIVE %s' % (
            milliseconds(self.own_route), self.other_host, milliseconds(self.other_route), milliseconds(self.agent),
            milliseconds(self.active))
        yield '  its questions: DHCP answered in %s, connected to the metadata service in %s, first ping back in %s' % (
            milliseconds(self.dhcp), milliseconds(self.connect), milliseconds(self.first_echo))
        yield '  boot to ping %.2f s; ours: it waited for %s; with all that happened meanwhile %s, until port ACTIVE %s' % (
            self.total, share(self.waited), share(self.routed), share(self.reported))
