"""Wrong translations: what the mirror can make of the bridge's values on their way to the agents.

A fault is a name and a function (key, value, what the agents have) -> value; None: no such key. Each makes one mistake, at one
object, in whatever state that is: a change made before may still be on its way. ALL has every kind's name: a kind that no check notices fails the tests.
"""

import dataclasses
from collections.abc import Callable

from mirror import RESOURCES

POLICY = RESOURCES + 'networkpolicies/openstack/'
ENDPOINT = RESOURCES + 'workloadendpoints/openstack/'
NETWORK_SET = RESOURCES + 'networksets/openstack/'
SUBNET = '/calico/dhcp/v2/no-region/subnet/'
STATUS = '/calico/felix/v2/no-region/host/'
ALL = []


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    spoil: Callable


def _kind(name):
    ALL.append(name)
    return lambda build: lambda *arguments, **named: Fault(name, build(*arguments, **named))


def _at(matches, change):
    """change(value) alters a value in place; where there is none there stays none."""
    def spoil(key, value, _):
        if value is not None and matches(key):
            change(value)
        return value
    return spoil


def _left_out(matches):
    return lambda key, value, _: None if matches(key) else value


def _kept(matches):
    """What the agents have stays, whatever becomes of it."""
    return lambda key, value, written: written if matches(key) else value


def _policy(group):
    return lambda key: key == POLICY + 'ossg.default.' + group['id']


def _rules(group, change):
    def all_rules(value):
        for direction in ('ingress', 'egress'):
            for rule in value['spec'][direction]:
                change(rule, rule.get('source' if direction == 'ingress' else 'destination', {}))
    return _at(_policy(group), all_rules)


def _endpoint(port):
    tail = '-' + port['id'].replace('-', '--')
    return lambda key: key.startswith(ENDPOINT) and key.endswith(tail)


def _in_endpoint(port, change):
    return _at(_endpoint(port), lambda value: change(value['spec']))


def _subnet(subnet, change):
    return _at(lambda key: key == SUBNET + subnet['id'], change)


# Security groups and their rules.

@_kind('a rule is dropped')
def rule_dropped(group):
    """Of a group that has one."""
    return _at(_policy(group), lambda value: value['spec'].update(ingress=[], egress=[]))


@_kind('ingress and egress are swapped')
def directions_swapped(group):
    def swap(value):
        spec = value['spec']
        spec['ingress'], spec['egress'] = ([_turned(rule) for rule in spec[way]] for way in ('egress', 'ingress'))
    return _at(_policy(group), swap)


def _turned(rule):
    turned = {key: value for key, value in rule.items() if key not in ('source', 'destination')}
    ports = rule.get('destination', {}).get('ports')
    peer = {key: value for side in ('source', 'destination') for key, value in rule.get(side, {}).items() if key != 'ports'}
    side = 'destination' if 'source' in rule else 'source'
    if peer:
        turned[side] = peer
    if ports:
        turned.setdefault('destination', {})['ports'] = ports
    return turned


@_kind("a rule's address family is lost")
def family_lost(group):
    return _rules(group, lambda rule, _: rule.pop('ipVersion', None))


@_kind("a rule's address family is the other one")
def family_wrong(group):
    return _rules(group, lambda rule, _: rule.update(ipVersion=10 - rule['ipVersion']))


@_kind("a rule's protocol is lost")
def protocol_lost(group):
    def lose(rule, _):
        rule.pop('protocol', None)
        rule.pop('icmp', None)
        rule.get('destination', {}).pop('ports', None)
    return _rules(group, lose)


@_kind("a rule's protocol is another")
def protocol_wrong(group):
    def change(rule, _):
        if 'protocol' in rule:
            rule['protocol'] = {'6': 17, '17': 6}.get(str(rule['protocol']), rule['protocol'])
    return _rules(group, change)


@_kind("a rule's ports are lost")
def ports_lost(group):
    return _rules(group, lambda rule, _: rule.get('destination', {}).pop('ports', None))


@_kind('a range of ports is its first port')
def range_cut(group):
    def cut(rule, _):
        ports = rule.get('destination', {}).get('ports')
        if ports:
            rule['destination']['ports'] = [int(str(ports[0]).split(':')[0])]
    return _rules(group, cut)


@_kind("a rule's ICMP type is lost")
def icmp_type_lost(group):
    return _rules(group, lambda rule, _: rule.pop('icmp', None))


@_kind("a rule's ICMP code is lost")
def icmp_code_lost(group):
    return _rules(group, lambda rule, _: rule.get('icmp', {}).pop('code', None))


@_kind("a rule's prefix is lost")
def prefix_lost(group):
    return _rules(group, lambda _, peer: peer.pop('nets', None))


@_kind("a rule's remote group is lost")
def remote_group_lost(group):
    return _rules(group, lambda _, peer: peer.pop('selector', None))


@_kind("a rule's address group is lost")
def address_group_lost(group):
    return _rules(group, lambda _, peer: peer.pop('selector', None))


@_kind('a policy is left out')
def policy_left_out(group):
    return _left_out(_policy(group))


@_kind('a change of a policy is missed')
def policy_kept(group):
    return _kept(_policy(group))


# Address groups.

@_kind('a network set is left out')
def network_set_left_out(group):
    return _left_out(lambda key: key == NETWORK_SET + 'osag.default.' + group['id'])


@_kind('a change of a network set is missed')
def network_set_kept(group):
    return _kept(lambda key: key == NETWORK_SET + 'osag.default.' + group['id'])


# Ports.

@_kind('a group is ignored: its members do not carry it')
def group_ignored(port, group):
    def strip(value):
        labels = value['metadata']['labels']
        for name in [name for name, text in labels.items() if name.endswith('openstack-' + group['id']) or text == group['id']]:
            del labels[name]
    return _at(_endpoint(port), strip)


@_kind('an endpoint is left out')
def endpoint_left_out(port):
    return _left_out(_endpoint(port))


@_kind('a change of an endpoint is missed')
def endpoint_kept(port):
    return _kept(_endpoint(port))


@_kind("an endpoint's deletion is missed")
def deletion_missed(port):
    matches = _endpoint(port)
    return lambda key, value, written: written if value is None and matches(key) else value


@_kind('an endpoint has another interface')
def interface_wrong(port):
    return _in_endpoint(port, lambda spec: spec.update(interfaceName='tap0000-wrong'[:14]))


@_kind('an endpoint has another MAC address')
def mac_wrong(port):
    return _in_endpoint(port, lambda spec: spec.update(mac='fa:16:3e:00:00:00'))


@_kind('an IPv4 address is left out')
def v4_left_out(port):
    return _in_endpoint(port, lambda spec: spec.update(ipNetworks=[net for net in spec['ipNetworks'] if ':' in net]))


@_kind('an IPv6 address is left out')
def v6_left_out(port):
    return _in_endpoint(port, lambda spec: spec.update(ipNetworks=[net for net in spec['ipNetworks'] if ':' not in net]))


@_kind('an allowed address pair is ignored')
def pair_ignored(port):
    return _in_endpoint(port, lambda spec: spec.update(
        ipNetworks=[net for net in spec['ipNetworks'] if net not in spec['allowedIps']], allowedIps=[]))


@_kind('an allowed prefix is its first address')
def pair_cut(port):
    return _in_endpoint(port, lambda spec: spec.update(
        ipNetworks=[net for net in spec['ipNetworks'] if net not in spec['allowedIps'][1:]], allowedIps=spec['allowedIps'][:1]))


@_kind("a port's DHCP options are lost")
def dhcp_options_lost(port):
    return _at(_endpoint(port), lambda value: value['metadata']['annotations'].pop('openstack.projectcalico.org/dhcp-options', None))


@_kind('a source prefix is ignored')
def sources_ignored(port):
    return _in_endpoint(port, lambda spec: spec.pop('allowSpoofedSourcePrefixes', None))


@_kind('a floating IP is left out')
def floating_ip_left_out(port):
    return _in_endpoint(port, lambda spec: spec.pop('ipNATs', None))


@_kind('that port security is off is forgotten')
def open_port_forgotten(port):
    return _at(_endpoint(port), lambda value: value['metadata']['labels'].pop('projectcalico.org/openstack-port-security', None))


@_kind('the policy of ports without port security is left out')
def open_policy_left_out():
    return _left_out(lambda key: key == POLICY + 'percale.port-security-off')


# Subnets.

@_kind('a subnet is left out')
def subnet_left_out(subnet):
    return _left_out(lambda key: key == SUBNET + subnet['id'])


@_kind('a change of a subnet is missed')
def subnet_kept(subnet):
    return _kept(lambda key: key == SUBNET + subnet['id'])


@_kind("a subnet's name servers are lost")
def name_servers_lost(subnet):
    return _subnet(subnet, lambda value: value.pop('dns_servers', None))


@_kind("a subnet's routes are lost")
def routes_lost(subnet):
    return _subnet(subnet, lambda value: value.update(host_routes=[]))


@_kind("a subnet's gateway is another")
def gateway_wrong(subnet, gateway):
    return _subnet(subnet, lambda value: value.update(gateway_ip=gateway))


@_kind('SLAAC is lost')
def slaac_lost(subnet):
    return _subnet(subnet, lambda value: [value.pop(mode, None) for mode in ('ipv6_ra_mode', 'ipv6_address_mode')])


# What agents report.

@_kind('reports of a port are lost')
def status_left_out(port):
    return _left_out(lambda key: key.startswith(STATUS) and key.endswith('/endpoint/' + port['id']))


@_kind('a change in the reports of a port is missed')
def status_kept(port):
    return _kept(lambda key: key.startswith(STATUS) and key.endswith('/endpoint/' + port['id']))
