"""Security group rules: every member, in both directions, for both families."""

import dataclasses

import faults
from cases import HOSTS
from packet_checks import PacketTest, everything, look, matching


@dataclasses.dataclass
class Row:
    """A rule's members and the Calico rule's; either may be different for the families, as {4: …, 6: …}.

    `right`, and what each fault makes of it, name probes between the target and the client: 'tcp/*'; '~' before it: over the other
    family, '^': in the other direction, 'member:': of the member of the remote group instead.
    """
    name: str
    rule: dict
    written: dict
    right: str
    wrongs: list
    peers: tuple = ('client',)
    families: tuple = (4, 6)


# Functions of the lane, since faults are made for its objects.
def _of(fault):
    return lambda lane: fault(lane.group)


_DROPPED, _PROTOCOL_LOST, _PORTS_LOST = _of(faults.rule_dropped), _of(faults.protocol_lost), _of(faults.ports_lost)
_BOTH = ('client', 'member')
_ICMP = {4: 'ICMP', 6: 'ICMPv6'}
_ECHO = {4: 8, 6: 128}

ROWS = [
    Row('anything', {}, {}, '*', [(_DROPPED, ''), (_of(faults.directions_swapped), '^*'), (_of(faults.family_lost), '* ~*')]),
    Row('tcp', dict(protocol='tcp'), dict(protocol=6), 'tcp/*',
        [(_DROPPED, ''), (_PROTOCOL_LOST, '*'), (_of(faults.family_wrong), '~tcp/*')]),
    Row('a tcp port', dict(protocol='tcp', port_range_min=80, port_range_max=80), dict(protocol=6, ports=[80]), 'tcp/80',
        [(_PORTS_LOST, 'tcp/*'), (_of(faults.policy_left_out), '')]),
    Row('a range of tcp ports', dict(protocol='tcp', port_range_min=80, port_range_max=81), dict(protocol=6, ports=['80:81']),
        'tcp/80 tcp/81', [(_of(faults.range_cut), 'tcp/80'), (_PORTS_LOST, 'tcp/*'), (_of(faults.directions_swapped), '^tcp/80 ^tcp/81')]),
    Row('all tcp ports', dict(protocol='tcp', port_range_min=1, port_range_max=65535), dict(protocol=6), 'tcp/*', [(_PROTOCOL_LOST, '*')]),
    Row('tcp by number', dict(protocol='6', port_range_min=443, port_range_max=443), dict(protocol='6', ports=[443]), 'tcp/443',
        [(_DROPPED, ''), (_PORTS_LOST, 'tcp/*')]),
    Row('udp', dict(protocol='udp'), dict(protocol=17), 'udp/*', [(_of(faults.protocol_wrong), 'tcp/*')]),
    Row('a udp port', dict(protocol='udp', port_range_min=53, port_range_max=53), dict(protocol=17, ports=[53]), 'udp/53',
        [(_PORTS_LOST, 'udp/*'), (_PROTOCOL_LOST, '*')]),
    Row('udp by number', dict(protocol='17'), dict(protocol='17'), 'udp/*', [(_DROPPED, '')]),
    Row('icmp', dict(protocol='icmp'), dict(protocol=_ICMP), 'icmp/*', [(_PROTOCOL_LOST, '*')]),
    Row('an icmp type', dict(protocol='icmp', port_range_min=_ECHO), dict(protocol=_ICMP, icmp={'type': _ECHO}), 'icmp/echo',
        [(_of(faults.icmp_type_lost), 'icmp/*')], families=(4,)),
    Row('an icmp type', dict(protocol='ipv6-icmp', port_range_min=128), dict(protocol='ICMPv6', icmp={'type': 128}), 'icmp/echo',
        [(_PROTOCOL_LOST, '*')], families=(6,)),
    Row('an icmp type and code', dict(protocol='icmp', port_range_min=_ECHO, port_range_max=0),
        dict(protocol=_ICMP, icmp={'type': _ECHO, 'code': 0}), 'icmp/echo', [(_DROPPED, '')]),
    Row('another icmp code', dict(protocol='icmp', port_range_min=_ECHO, port_range_max=1),
        dict(protocol=_ICMP, icmp={'type': _ECHO, 'code': 1}), '', [(_of(faults.icmp_code_lost), 'icmp/echo')]),
    Row('another icmp type', dict(protocol='icmp', port_range_min=13), dict(protocol='ICMP', icmp={'type': 13}), 'icmp/timestamp',
        [(_of(faults.icmp_type_lost), 'icmp/*')], families=(4,)),
    Row('another icmp type', dict(protocol='icmpv6', port_range_min=129), dict(protocol='ICMPv6', icmp={'type': 129}), '',
        [(_of(faults.icmp_type_lost), 'icmp/*')], families=(6,)),
    Row('icmp by number', dict(protocol={4: '1', 6: '58'}, port_range_min=_ECHO, port_range_max=0),
        dict(protocol=_ICMP, icmp={'type': _ECHO, 'code': 0}), 'icmp/echo', [(_DROPPED, '')]),
    Row('protocol 0', dict(protocol='0'), {}, '*', [(_DROPPED, '')]),
    Row('vrrp', dict(protocol='vrrp'), dict(protocol=112), 'raw/112', [(_DROPPED, '')]),
    Row('112', dict(protocol='112'), dict(protocol='112'), 'raw/112', [(_PROTOCOL_LOST, '*')]),
    Row('gre', dict(protocol='gre'), dict(protocol=47), '', [(_PROTOCOL_LOST, '*')]),
    Row('sctp', dict(protocol='sctp', port_range_min=80, port_range_max=80), dict(protocol=132, ports=[80]), '', [(_PROTOCOL_LOST, '*')]),
    Row("one machine's address", dict(protocol='tcp', remote_ip_prefix='CLIENT'), dict(protocol=6, nets='CLIENT'), 'tcp/*',
        [(_of(faults.prefix_lost), 'tcp/* member:tcp/*'), (_DROPPED, '')], _BOTH),
    Row('a prefix with host bits', dict(protocol='tcp', port_range_min=22, port_range_max=22,
                                        remote_ip_prefix={4: '10.77.0.9/24', 6: 'fd00:77::9/64'}),
        dict(protocol=6, ports=[22], nets={4: '10.77.0.9/24', 6: 'fd00:77::9/64'}), 'tcp/22 member:tcp/22', [(_DROPPED, '')], _BOTH),
    Row('a foreign prefix', dict(remote_ip_prefix={4: '192.0.2.0/24', 6: '2001:db8::/32'}),
        dict(nets={4: '192.0.2.0/24', 6: '2001:db8::/32'}), '', [(_of(faults.prefix_lost), '*')]),
    Row('every prefix', dict(protocol='udp', remote_ip_prefix={4: '0.0.0.0/0', 6: '::/0'}),
        dict(protocol=17, nets={4: '0.0.0.0/0', 6: '::/0'}), 'udp/*', [(_DROPPED, '')]),
    Row('a remote group', dict(remote_group_id='WEB'), dict(selector='WEB'), 'member:*',
        [(lambda lane: faults.group_ignored(lane.member.port, lane.web), ''), (_of(faults.remote_group_lost), '* member:*')], _BOTH),
    Row('a port for a remote group', dict(protocol='tcp', port_range_min=443, port_range_max=443, remote_group_id='WEB'),
        dict(protocol=6, ports=[443], selector='WEB'), 'member:tcp/443',
        [(_of(faults.remote_group_lost), 'tcp/443 member:tcp/443'), (_PORTS_LOST, 'member:tcp/*')], _BOTH),
    Row('its own group', dict(protocol='tcp', remote_group_id='OWN'), dict(protocol=6, selector='OWN'), '',
        [(_of(faults.remote_group_lost), 'tcp/*')]),
    Row('an address group', dict(protocol='tcp', port_range_min=80, port_range_max=80, remote_address_group_id='PARTNERS'),
        dict(protocol=6, ports=[80], selector='PARTNERS'), 'tcp/80',
        [(lambda lane: faults.network_set_left_out(lane.partners), ''), (_of(faults.address_group_lost), 'tcp/80 member:tcp/80')], _BOTH),
]


def _for_family(value, family):
    if isinstance(value, dict):
        if set(value) == {4, 6}:
            return _for_family(value[family], family)
        return {key: _for_family(item, family) for key, item in value.items()}
    return value


class Lane:
    """A target with its groups, in which one rule at a time is tried. One for each direction (look() says why)."""

    def __init__(self, test, direction):
        self.direction = direction
        self.client, self.member = test.client, test.member
        self.group = test.group('probed ' + direction)
        self.web = test.neutron.create('security_group', name='web ' + direction)
        self.partners = test.neutron.create('address_group', name='partners ' + direction, addresses=[
            self.client.address_of(4) + '/32', self.client.address_of(6) + '/128'])
        self.target = test.machine(direction, HOSTS[1], [self.group])

    def names(self, family):
        """What the words in capitals in a row stand for: in Neutron's rule, in Calico's."""
        client = '%s/%d' % (self.client.address_of(family), {4: 32, 6: 128}[family])
        label = 'has(sg.projectcalico.org/openstack-%s)'
        return ({'CLIENT': client, 'WEB': self.web['id'], 'OWN': self.group['id'], 'PARTNERS': self.partners['id']},
                {'CLIENT': client, 'WEB': label % self.web['id'], 'OWN': label % self.group['id'],
                 'PARTNERS': 'has(ag.projectcalico.org/openstack-%s)' % self.partners['id']})


def _written(row, direction, family, names):
    """The Calico rule of a row."""
    members = {key: names.get(value, value) if isinstance(value, str) else value
               for key, value in _for_family(row.written, family).items()}
    rule = {'action': 'Allow', 'ipVersion': family}
    rule.update((key, members[key]) for key in ('protocol', 'icmp') if key in members)
    peer = {key: [value] if key == 'nets' else value for key, value in members.items() if key in ('nets', 'selector')}
    ports = {'ports': members['ports']} if 'ports' in members else {}
    source, destination = (peer, ports) if direction == 'ingress' else ({}, dict(peer, **ports))
    rule.update((key, value) for key, value in (('source', source), ('destination', destination)) if value)
    return rule


def _visible(words, direction, family, names):
    """The probes that a row's words mean."""
    patterns = []
    for word in words.split():
        peer, _, probe = word.rpartition(':')
        way, version = 'in' if direction == 'ingress' else 'out', family
        if probe.startswith('~'):
            version = 10 - family
        if probe.startswith('^'):
            way = 'out' if way == 'in' else 'in'
        patterns.append('%s %s%d %s' % (peer or 'client', way, version, probe.lstrip('~^')))
    return matching(names, *patterns)


class RuleChecks(PacketTest):

    def test_a_rule_lets_through_exactly_what_it_says(self):
        lanes = [Lane(self, direction) for direction in ('ingress', 'egress')]
        port = self.neutron.update('port', self.member.port['id'],
                                   security_groups=[self.open_group['id'], self.web['id']] + [lane.web['id'] for lane in lanes])
        self.assertEqual(len(port['security_groups']), 4)
        self.in_lanes(lanes, [('%s, IPv%d' % (row.name, family), lambda lane, row=row, family=family: self.judge_rule(lane, row, family))
                              for row in ROWS for family in row.families])

    def judge_rule(self, lane, row, family):
        neutrons, calicos = lane.names(family)
        direction, raw = lane.direction, 'in' if lane.direction == 'ingress' else 'out'
        members = {key: neutrons.get(value, value) for key, value in _for_family(row.rule, family).items()}
        peers = {name: getattr(lane, name) for name in row.peers}
        names = everything(peers, raw=raw)
        made = []

        def act():
            made.append(self.rule(lane.group, direction=direction, ethertype='IPv%d' % family, **members))
            self.assertEqual(self.rules(lane.group, direction), [_written(row, direction, family, calicos)])

        try:
            self.judge('%s, %s, IPv%d' % (row.name, direction, family), lambda: look(lane.target, peers, raw=raw),
                       _visible(row.right, direction, family, names),
                       [(fault(lane), _visible(words, direction, family, names)) for fault, words in row.wrongs], act)
        finally:
            for rule in made:
                self.neutron.delete('security-group-rules/' + rule['id'])
