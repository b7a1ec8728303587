"""What the tests in a cloud have in common: the cloud, its network and first machine, and the count of what was tried."""

import atexit
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cloud import Cloud  # noqa: E402
from neutron_server import wait_for  # noqa: E402

HOSTS = ('host-a', 'host-b')
SETTINGS = {'bin': None}
LIMIT = 30  # seconds until what should come about must have; only a failure takes that long


def soon(holds, seconds=LIMIT):
    """Whether it holds within the time."""
    try:
        return wait_for('it', holds, seconds)
    except TimeoutError:
        return False


class Count:
    """A case: something was done through Neutron's API, and etcd or packets were compared with what must follow."""

    def __init__(self):
        self._lock = threading.Lock()
        self.cases = self.wrong = 0
        self.noticed = set()  # names of faults

    def case(self):
        with self._lock:
            self.cases += 1

    def notice(self, fault):
        with self._lock:
            self.wrong += 1
            self.noticed.add(fault.name)


COUNT = Count()


class CloudTest(unittest.TestCase):
    """One cloud for all tests of a class; each makes its own groups and machines and leaves the others' alone."""

    CLOUD = {}

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud(bin_folder=SETTINGS['bin'], **cls.CLOUD)
        cls.addClassCleanup(cls.cloud.down)
        atexit.register(cls.cloud.down)  # unittest forgets the above when it is interrupted
        cls.cloud.up()
        cls.neutron = cls.cloud.neutron
        cls.network = cls.neutron.create('network', name='net one')
        cls.subnet = cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=4, cidr='10.77.0.0/24',
                                        dns_nameservers=['192.0.2.53'],
                                        host_routes=[{'destination': '10.9.0.0/16', 'nexthop': '10.77.0.1'}])
        cls.subnet6 = cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=6, cidr='fd00:77::/64',
                                         ipv6_ra_mode='dhcpv6-stateful', ipv6_address_mode='dhcpv6-stateful')
        cls.open_group = cls.neutron.create('security_group', name='open')
        for ethertype in ('IPv4', 'IPv6'):
            cls.rule(cls.open_group, direction='ingress', ethertype=ethertype)

    def setUp(self):
        started = time.monotonic()
        self.addCleanup(lambda: print('%.0f s ' % (time.monotonic() - started), end='', flush=True, file=sys.stderr))

    @classmethod
    def rule(cls, group, **members):
        members.setdefault('ethertype', 'IPv4')
        return cls.neutron.create('security_group_rule', security_group_id=group['id'], **members)

    def rules(self, group, direction='ingress'):
        return self.cloud.policy(group['id'])['spec'][direction]

    def case(self, name=None, **members):
        COUNT.case()
        return self.subTest(name, **members)


def main():
    arguments = sys.argv[1:]
    for name in ('bin',):
        if '--' + name in arguments:
            at = arguments.index('--' + name)
            SETTINGS[name] = arguments[at + 1]
            del arguments[at:at + 2]
    SETTINGS['all'] = not arguments
    started = time.monotonic()
    program = unittest.main(argv=sys.argv[:1] + arguments, verbosity=2, exit=False)
    print('%d cases; %d times with a wrong translation, of %d kinds, and noticed; %d s'
          % (COUNT.cases, COUNT.wrong, len(COUNT.noticed), time.monotonic() - started))
    sys.exit(not program.result.wasSuccessful())
