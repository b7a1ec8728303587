#!/usr/bin/env python3
"""OpenStack end to end: what Neutron's REST API is told, what etcd then holds, and what packets between guests then do; each look at
packets also with wrong translations, which it must notice (packet_checks.py).

`python3 tests/openstack/packets_test.py [--bin FOLDER] [Packets.TEST…]`, as root; needs the release build, Debian's neutron-server,
MariaDB, udhcpc and dhclient.
"""

import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import faults  # noqa: E402
from agents_watch import AgentsWatch  # noqa: E402
from cases import COUNT, HOSTS, SETTINGS, main  # noqa: E402
from packet_checks import everything, look, matching  # noqa: E402
from packet_dhcp import DhcpChecks  # noqa: E402
from packet_ports import PortChecks  # noqa: E402
from packet_rules import RuleChecks  # noqa: E402


class Packets(RuleChecks, PortChecks, DhcpChecks):
    """Guests that know nothing but what DHCP told them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.watch = AgentsWatch(cls.cloud, 'host-c')
        cls.addClassCleanup(cls.watch.stop)

    # Groups, and who is in them.

    def test_remote_groups_follow_membership(self):
        web = self.neutron.create('security_group', name='shop')
        db = self.group('db', *(dict(direction='ingress', ethertype=family, protocol='tcp', port_range_min=443, port_range_max=443,
                                     remote_group_id=web['id']) for family in ('IPv4', 'IPv6')))
        target = self.machine('db', HOSTS[1], [db])
        shop = self.machine('shop', HOSTS[0], [web])
        peers = {'client': self.client, 'shop': shop}
        names = everything(peers)
        members, nobody = matching(names, 'shop in? tcp/443'), frozenset()
        everybody = matching(names, '* in? tcp/443')
        port = shop.port

        def see():
            return look(target, peers, probes=('tcp/80', 'tcp/443', 'udp/53'), directions=('in',))

        def groups(*ids):
            return lambda: self.neutron.update('port', port['id'], security_groups=list(ids))

        self.judge('a member', see, members, [(faults.group_ignored(port, web), nobody), (faults.remote_group_lost(db), everybody)])
        self.judge('no member any more', see, nobody, [(faults.endpoint_kept(port), members)], groups(self.open_group['id']))
        self.judge('a member again', see, members, [(faults.group_ignored(port, web), nobody)], groups(web['id']))
        self.judge('a member of two groups', see, members, [(faults.group_ignored(port, web), nobody)],
                   groups(web['id'], self.open_group['id']))
        self.judge('the group is renamed', see, members, [(faults.group_ignored(port, web), nobody)],
                   lambda: self.neutron.update('security_group', web['id'], name='store'))
        self.assertEqual(self.cloud.endpoint(port)['metadata']['labels']['sg.projectcalico.org/openstack-' + web['id']], 'store')
        self.judge('the member is taken away', lambda: look(target, peers, probes=('tcp/443',), directions=('in',)), nobody,
                   [(faults.endpoint_kept(port), members)], groups(self.open_group['id']))
        groups(web['id'])()
        self.settle('a member for the last time', see, members)
        groups(self.open_group['id'])()
        self.neutron.delete('security-groups/' + web['id'])
        self.assertEqual(self.rules(db), [], 'the deleted group is still named')

    def test_a_deleted_rule_lets_nothing_through(self):
        group = self.group('short-lived')
        rules = [self.rule(group, direction='ingress', ethertype=family, protocol='tcp', port_range_min=80, port_range_max=81)
                 for family in ('IPv4', 'IPv6')]
        target = self.machine('short', HOSTS[1], [group])
        peers = {'client': self.client}
        names = everything(peers)
        passes = {4: matching(names, 'client in4 tcp/8?'), 6: matching(names, 'client in6 tcp/8?')}
        see = (lambda: look(target, peers))
        self.judge('before', see, passes[4] | passes[6], [(faults.v4_left_out(target.port), passes[6]),
                                                          (faults.v6_left_out(target.port), passes[4])])
        self.judge("the IPv4 rule's deletion", see, passes[6], [(faults.policy_kept(group), passes[4] | passes[6])],
                   lambda: self.neutron.delete('security-group-rules/' + rules[0]['id']))
        self.judge("the IPv6 rule's deletion", see, frozenset(), [(faults.policy_kept(group), passes[6])],
                   lambda: self.neutron.delete('security-group-rules/' + rules[1]['id']))

    def test_groups_of_a_port_add_up(self):
        one, two = (self.group('part %d' % port, dict(direction='ingress', protocol='tcp', port_range_min=port, port_range_max=port))
                    for port in (80, 443))
        target = self.machine('parts', HOSTS[1], [one], v6=False)
        port, peers = target.port, {'client': self.client}
        see = (lambda: look(target, peers, families=(4,)))
        first, second = frozenset(['client in4 tcp/80']), frozenset(['client in4 tcp/443'])

        def groups(*wanted):
            return lambda: self.neutron.update('port', port['id'], security_groups=[group['id'] for group in wanted])

        self.judge('a second group', see, first | second, [(faults.endpoint_kept(port), first), (faults.group_ignored(port, one), second),
                                                           (faults.policy_left_out(two), first)], groups(one, two))
        self.judge('the first group is taken away', see, second, [(faults.endpoint_kept(port), first | second)], groups(two))
        self.judge('no group at all', see, frozenset(), [(faults.endpoint_kept(port), second)], groups())
        self.judge('the first group again', see, first, [(faults.group_ignored(port, one), frozenset())], groups(one))

    def test_address_groups_follow_their_addresses(self):
        partners = self.neutron.create('address_group', name='partners', addresses=['192.0.2.0/24'])
        group = self.group('for partners', *(dict(direction='ingress', ethertype=family, protocol='tcp', port_range_min=80,
                                                  port_range_max=80, remote_address_group_id=partners['id'])
                                             for family in ('IPv4', 'IPv6')))
        target = self.machine('partner', HOSTS[1], [group])
        peers = {'client': self.client, 'member': self.member}
        names = everything(peers)
        see = (lambda: look(target, peers, probes=('tcp/80', 'tcp/443', 'icmp/echo')))

        def change(how, *addresses):
            return lambda: self.neutron.request('PUT', 'address-groups/%s/%s' % (partners['id'], how), {'addresses': list(addresses)})

        client4, client6 = self.client.address_of(4) + '/32', self.client.address_of(6) + '/128'
        nobody, everybody = frozenset(), matching(names, '* in? tcp/80')
        v4, v6 = frozenset(['client in4 tcp/80']), frozenset(['client in6 tcp/80'])
        self.judge('nobody is in the address group', see, nobody, [(faults.address_group_lost(group), everybody)])
        self.judge('an IPv4 address is added', see, v4, [(faults.network_set_kept(partners), nobody)], change('add_addresses', client4))
        self.judge('an IPv6 address is added', see, v4 | v6, [(faults.network_set_kept(partners), v4),
                                                              (faults.network_set_left_out(partners), nobody)],
                   change('add_addresses', client6))
        self.judge('the IPv4 address is removed', see, v6, [(faults.network_set_kept(partners), v4 | v6)],
                   change('remove_addresses', client4))
        self.judge('prefixes are added', see, everybody, [(faults.network_set_kept(partners), v6)],
                   change('add_addresses', '10.77.0.0/24', 'fd00:77::/64'))
        self.judge('all but a foreign prefix is removed', see, nobody, [(faults.network_set_kept(partners), everybody)],
                   change('remove_addresses', '10.77.0.0/24', 'fd00:77::/64', client6))

    # The bridge and the agents.

    def test_the_bridge_is_killed_between_commit_and_write(self):
        group = self.group('late')
        target = self.machine('late', HOSTS[1], [group], v6=False)

        def act():
            self.cloud.bridge.stop(9)
            self.neutron.database.sql(
                "insert into standardattributes (resource_type, revision_number) values ('securitygrouprules', 0); "
                "insert into securitygrouprules (project_id, id, security_group_id, direction, ethertype, protocol, port_range_min, "
                "port_range_max, standard_attr_id) values ('p', '%s', '%s', 'ingress', 'IPv4', 'tcp', 80, 80, last_insert_id())"
                % (uuid.uuid4(), group['id']), 'neutron')
            self.assertEqual(self.rules(group), [])
            self.cloud.start_bridge()

        self.judge('repaired by the resync at the start', lambda: look(target, {'client': self.client}, (4,)),
                   frozenset(['client in4 tcp/80']), [(faults.rule_dropped(group), frozenset())], act)

    def test_zy_agents_are_alive_and_dead_within_90_seconds_of_a_kill(self):
        COUNT.case()
        self.watch.check(self)

    def test_zz_every_fault_is_noticed(self):
        if not SETTINGS['all']:
            self.skipTest('not all checks ran')
        self.assertEqual(sorted(set(faults.ALL) - COUNT.noticed), [])


if __name__ == '__main__':
    del RuleChecks, PortChecks, DhcpChecks
    main()
