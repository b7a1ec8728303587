"""How packets are judged: what passes between guests must be exactly what Neutron was told, and with each wrong translation that
matters to it the same look must show exactly the damage that it does. What shows no difference would be no check.
"""

import fnmatch
import sys
import threading

from cases import COUNT, HOSTS, CloudTest, soon
from guest import RAW_PROTOCOL

TCP, UDP, ICMP, RAW = ('tcp/22', 'tcp/80', 'tcp/81', 'tcp/443'), ('udp/53', 'udp/123'), ('icmp/echo', 'icmp/timestamp'), 'raw/%d' % RAW_PROTOCOL
PROBES = TCP + UDP + ICMP + (RAW,)


def send(source, target, address, probe):
    """A future: whether it came through."""
    kind, _, what = probe.partition('/')
    if kind == 'tcp':
        return source.greeting(address, int(what))
    if kind == 'udp':
        return source.udp_probe(address, int(what))
    if kind == 'icmp':
        return source.icmp_probe(address, what)
    return source.raw_probe(target, address)


def _tried(family, direction, probe, raw):
    if probe == RAW:
        return direction == raw
    return (family, probe) != (6, 'icmp/timestamp')


def look(target, peers, families=(4, 6), directions=('in', 'out'), probes=PROBES, raw='in'):
    """What passes, all tried at once: 'client in4 tcp/80' is TCP over IPv4 from the client to the target's port 80.

    `raw`: the one direction of RAW between these machines; a packet in the other would count as the answer, which may always pass.
    """
    tried = {}
    for name, peer in peers.items():
        for direction in directions:
            source, reached = (peer, target) if direction == 'in' else (target, peer)
            for family in families:
                for probe in probes:
                    if _tried(family, direction, probe, raw):
                        tried['%s %s%d %s' % (name, direction, family, probe)] = send(source, reached, reached.address_of(family), probe)
    return frozenset(name for name, passed in tried.items() if passed.result())


def everything(peers, families=(4, 6), directions=('in', 'out'), probes=PROBES, raw='in'):
    """The names of all that look() tries."""
    return [('%s %s%d %s' % (name, direction, family, probe)) for name in peers for direction in directions for family in families
            for probe in probes if _tried(family, direction, probe, raw)]


def matching(names, *patterns):
    return frozenset(name for name in names for pattern in patterns if fnmatch.fnmatch(name, pattern))


def difference(expected, seen):
    """In words; empty if there is none."""
    if expected == seen:
        return ''
    if not isinstance(expected, frozenset):
        return 'expected %r, seen %r' % (expected, seen)
    parts = ('missing: ' + ', '.join(sorted(expected - seen)) if expected - seen else '',
             'passes wrongly: ' + ', '.join(sorted(seen - expected)) if seen - expected else '')
    return '; '.join(part for part in parts if part)


class PacketTest(CloudTest):
    CLOUD = dict(apart=True, felix={'workloadSourceSpoofing': 'Any'})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.web = cls.neutron.create('security_group', name='web')
        cls.client = cls.machine('client', HOSTS[0], [cls.open_group])
        cls.member = cls.machine('member', HOSTS[0], [cls.open_group, cls.web])

    @classmethod
    def machine(cls, name, host, groups, network=None, v6=True, **members):
        guest = cls.cloud.machine(name, network or cls.network, host, security_groups=[group['id'] for group in groups], **members)
        if v6:
            guest.boot6()
        return guest

    def group(self, name, *rules, egress=False):
        """A group with these rules alone; Neutron's own egress rules only if wanted."""
        group = self.neutron.create('security_group', name=name)
        if not egress:
            for rule in group['security_group_rules']:
                self.neutron.delete('security-group-rules/' + rule['id'])
        for rule in rules:
            self.rule(group, **rule)
        return group

    def judge(self, name, see, right, wrongs, act=None):
        """act() changes something through Neutron. Under each of `wrongs`, pairs of a fault and what it makes visible, see() must
        come to show that; the first one is there already when act() is called. At last, without a fault, `right`.
        """
        COUNT.case()
        for fault, wrong in wrongs:
            assert difference(right, wrong), '%s: "%s" would not be noticed' % (name, fault.name)
            with self.cloud.mirror.spoilt(fault):
                if act:
                    act()
                    act = None
                self.settle('%s, when %s' % (name, fault.name), see, wrong)
            COUNT.notice(fault)
        if act:
            act()
        self.settle(name, see, right)

    @staticmethod
    def settle(name, see, expected):
        seen = []

        def as_expected():
            seen[:] = [see()]
            return seen[0] == expected
        if not soon(as_expected):
            message = '%s: %s' % (name, difference(expected, seen[0]))
            print(message, file=sys.stderr, flush=True)  # at once: the rest may take minutes
            raise AssertionError(message)

    def in_lanes(self, lanes, works):
        """Each of `works`, (name, work) with work(lane), is done in each of the lanes, which run side by side."""
        failures = []

        def run(lane):
            for name, work in works:
                try:
                    work(lane)
                except Exception as error:  # reported below
                    failures.append((name, error))

        threads = [threading.Thread(target=run, args=(lane,), daemon=True) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, error in failures:
            with self.subTest(name):
                raise error
