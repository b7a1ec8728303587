#!/usr/bin/env python3
"""Guests that are whole machines: Debian's kernel under qemu, started as Nova starts them, which know nothing but what DHCP, router
advertisements and the metadata service tell them.

`python3 tests/openstack/vm_guest_test.py [--bin FOLDER] [TEST…]`, as root; needs what packets_test.py needs, qemu-system-x86,
linux-image-amd64 and busybox-static.
"""

import contextlib
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from boot_clock import Boot, Report  # noqa: E402
from cloud import Cloud  # noqa: E402
from compute import Compute  # noqa: E402
from neutron_server import Process, wait_for  # noqa: E402
from virtual_machine import Image  # noqa: E402

SETTINGS = {'bin': None}


def complaints(machine, story):
    """What is wrong with a machine's start, given its stages by word."""
    port = machine.port
    wrong = []
    for word in ('no-address', 'no-metadata'):
        if word in story:
            wrong.append(word)
    if 'address' in story:
        address, gateway, mtu = story['address'].split()
        expected = (machine.address + '/24', '10.77.0.1', '1500')
        if (address, gateway, mtu) != expected:
            wrong.append('address, gateway and MTU are %s, not %s' % ((address, gateway, mtu), expected))
    if 'instance' in story and story['instance'] != port['device_id']:
        wrong.append('instance id %s, not %s' % (story['instance'], port['device_id']))
    wrong += [word + ' is missing' for word in ('kernel', 'link', 'address', 'instance', 'ping', 'ready') if word not in story]
    return wrong


class Agent:
    """The agent of one host: killed, and started by hand with other settings."""

    def __init__(self, cloud, host):
        self.cloud, self.host = cloud, host
        self._pid = int(pathlib.Path('/run/percale-lab/%s/nodes/%s/agent.pid' % (cloud.name, host)).read_text())
        self._environment = pathlib.Path('/proc/%d/environ' % self._pid).read_bytes().decode().rstrip('\0').split('\0')
        self._by_hand = None

    def kill(self):
        if self._by_hand:
            self._by_hand.stop(signal.SIGKILL)
            self._by_hand = None
        elif self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = None

    def start(self, *settings):
        self._by_hand = Process([self.cloud.bin / 'percalectl', 'lab', 'exec', self.cloud.name, self.host, '--', '/usr/bin/env',
                                 '-i', *self._environment, *settings, self.cloud.bin / 'percaled'],
                                self.cloud.folder / ('agent-%s.log' % self.host))


class VirtualMachines(unittest.TestCase):
    """One cloud, a machine on each host. On host-c everything is broken at first: no agent, then an agent without metadata."""

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud(bin_folder=SETTINGS['bin'])
        cls.addClassCleanup(cls.cloud.down)
        cls.cloud.up()
        cls.neutron = cls.cloud.neutron
        cls.network = cls.neutron.create('network', name='net')
        cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=4, cidr='10.77.0.0/24')
        cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=6, cidr='fd00:77::/64', ipv6_ra_mode='slaac',
                           ipv6_address_mode='slaac')
        cls.callers, cls.called, cls.open = (cls.neutron.create('security_group', name=name)
                                             for name in ('callers', 'called', 'open'))
        cls.rule(cls.open, 'icmp')
        cls.compute = Compute(cls.cloud)
        cls.addClassCleanup(cls.compute.close)
        cls.compute.serve_metadata('host-a', 'host-b', 'host-c')
        cls.agent_c = Agent(cls.cloud, 'host-c')
        cls.agent_c.kill()
        cls.answering = cls.cloud.machine('answering', cls.network, 'host-b', security_groups=[cls.open['id']])
        cls.boots = {}
        for name, host, other, group in (('one', 'host-a', 'host-b', cls.callers), ('two', 'host-b', 'host-a', cls.called)):
            machine = cls.prepare(name, host, group)
            cls.boots[name] = Boot(cls.compute, machine, other)
            cls.addClassCleanup(cls.boots[name].close)
        cls.broken = cls.prepare('broken', 'host-c', cls.callers)
        cls.broken.plug()
        cls.broken.boot()
        cls.one, cls.two = (cls.boots[name].machine for name in ('one', 'two'))

    @classmethod
    def rule(cls, group, protocol, ethertype='IPv4', **members):
        return cls.neutron.create('security_group_rule', security_group_id=group['id'], direction='ingress', protocol=protocol,
                                  ethertype=ethertype, **members)

    @classmethod
    def prepare(cls, name, host, group):
        machine = cls.compute.prepare(name, cls.network, host, security_groups=[group['id']])
        cls.compute.describe(machine, 'first-ping %s\n' % cls.answering.address)
        return machine

    @staticmethod
    def story(machine):
        return {stage.word: stage.text for stage in reversed(list(machine.stages))}

    def test_1_machines_start_and_know_who_they_are(self):
        for machine in (self.one, self.two):
            with self.subTest(machine.name):
                machine.wait('ready')
                self.assertEqual(complaints(machine, self.story(machine)), [])
                self.assertEqual(machine.stage('link').text, machine.port['mac_address'])
        for boot in self.boots.values():
            wait_for('routes and status', lambda: boot.programming.complete, 60)
            report = Report(boot)
            print('\n' + '\n'.join(report.lines()), flush=True)
            self.assertTrue(report.in_order(), 'the witnesses contradict each other')
            self.assertEqual(self.neutron.show('port', boot.machine.port['id'])['status'], 'ACTIVE')

    def soon(self, address, passes, message):
        try:
            wait_for(message, lambda: self.one.ping(address) == passes, 60)
        except TimeoutError as late:
            self.fail('%s\n%s' % (late, self.one.console()))

    def test_2_a_machine_reaches_the_other_through_policy_only(self):
        for machine in (self.one, self.two):
            machine.wait('ready')
        targets = {'IPv4': self.two.address, 'IPv6': self.two.address6}
        rules = {}
        for ethertype, address in targets.items():
            self.assertFalse(self.one.ping(address, 3), '%s passes without a rule' % ethertype)
        for ethertype, protocol in (('IPv4', 'icmp'), ('IPv6', 'ipv6-icmp')):
            rules[ethertype] = self.rule(self.called, protocol, ethertype, remote_group_id=self.callers['id'])
            self.soon(targets[ethertype], True, '%s with its rule' % ethertype)
            if ethertype == 'IPv4':
                self.assertFalse(self.one.ping(targets['IPv6'], 3), 'the rule for IPv4 lets IPv6 through')
        self.assertFalse(self.two.ping(self.one.address, 3), "nothing lets the called call")
        # Another group than the rule's: the rule names its members, not everybody.
        self.neutron.update('port', self.one.port['id'], security_groups=[self.open['id']])
        for ethertype, address in targets.items():
            self.soon(address, False, '%s from outside the group' % ethertype)
        self.neutron.update('port', self.one.port['id'], security_groups=[self.callers['id']])
        for ethertype, address in targets.items():
            self.soon(address, True, '%s from the group again' % ethertype)
            self.neutron.delete('security-group-rules/' + rules[ethertype]['id'])
            self.soon(address, False, '%s without its rule' % ethertype)

    def test_3_broken_parts_are_noticed_and_a_repair_is_enough(self):
        self.broken.wait('no-address')
        self.assertIn('address is missing', complaints(self.broken, self.story(self.broken)))
        self.assertNotEqual(self.neutron.show('port', self.broken.port['id'])['status'], 'ACTIVE')
        self.agent_c.start('FELIX_METADATAADDR=none')
        self.broken.wait('no-metadata')
        self.assertEqual([c for c in complaints(self.broken, self.story(self.broken)) if 'missing' in c],
                         ['instance is missing', 'ping is missing', 'ready is missing'])
        self.agent_c.kill()
        self.agent_c.start()
        self.broken.wait('ready')
        self.assertEqual(complaints(self.broken, self.story(self.broken)), ['no-address', 'no-metadata'])
        wait_for('ACTIVE', lambda: self.neutron.show('port', self.broken.port['id'])['status'] == 'ACTIVE', 60)

    def test_4_a_machine_that_is_switched_off_goes_down(self):
        self.two.wait('ready')
        self.assertEqual(self.two.power_off(), 0)
        wait_for('DOWN', lambda: self.neutron.show('port', self.two.port['id'])['status'] == 'DOWN', 60)
        self.assertNotIn(self.two.tap, self.cloud.on_host('host-b', 'ip', 'link').stdout)


    def test_5_an_address_by_dhcpv6_also_after_a_rebuild(self):
        """The system that a machine is rebuilt with has another identifier, and the lease of the former one has a day to go."""
        network = self.neutron.create('network', name='stateful')
        self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.79.0.0/24')
        self.neutron.create('subnet', network_id=network['id'], ip_version=6, cidr='fd00:79::/64', ipv6_ra_mode='dhcpv6-stateful',
                            ipv6_address_mode='dhcpv6-stateful')
        group = self.neutron.create('security_group', name='pinged')
        self.rule(group, 'ipv6-icmp', 'IPv6')
        image = Image(dhcp6=True)
        self.addCleanup(image.close)
        machine = self.compute.prepare('six', network, 'host-b', image, security_groups=[group['id']])
        for number in range(2):
            machine.plug()
            machine.boot()
            machine.wait('ready')
            self.assertEqual(machine.stage('address6').text, machine.address6)
            self.soon(machine.address6, True, 'IPv6 to an address by DHCPv6')
            if number == 0:
                self.assertEqual(machine.power_off(), 0)
                machine = self.compute.machine_at(machine.port, 'six-rebuilt', 'host-b', image)


class Complaints(unittest.TestCase):
    """The check itself, with stories that nobody told."""

    class Machine:
        address = '10.77.0.9'
        port = {'device_id': 'i-x'}

    GOOD = {'kernel': '6', 'link': 'm', 'address': '10.77.0.9/24 10.77.0.1 1500', 'instance': 'i-x', 'ping': '', 'ready': ''}

    def test_it_can_fail(self):
        self.assertEqual(complaints(self.Machine, self.GOOD), [])
        for change in ({'address': '10.77.0.8/24 10.77.0.1 1500'}, {'address': '10.77.0.9/24 10.77.0.1 1400'},
                       {'address': '10.77.0.9/24 10.77.0.2 1500'}, {'instance': 'i-y'}, {'instance': ''}, {'no-address': ''},
                       {'no-metadata': ''}):
            with self.subTest(**change):
                self.assertEqual(len(complaints(self.Machine, dict(self.GOOD, **change))), 1)
        for word in self.GOOD:
            with self.subTest(missing=word):
                story = {k: v for k, v in self.GOOD.items() if k != word}
                self.assertEqual(complaints(self.Machine, story), [word + ' is missing'])


if __name__ == '__main__':
    arguments = sys.argv[1:]
    if '--bin' in arguments:
        at = arguments.index('--bin')
        SETTINGS['bin'] = arguments[at + 1]
        del arguments[at:at + 2]
    with contextlib.suppress(KeyboardInterrupt):
        unittest.main(argv=sys.argv[:1] + arguments, verbosity=2)
