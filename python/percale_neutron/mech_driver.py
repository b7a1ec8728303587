"""The mechanism driver `calico`: binds ports to tap interfaces and tells the bridge which ports, networks and subnets have changed.

Before a commit the bridge is asked (`check`), and its refusal is the API's answer. After a commit it is told (`changed`); what
fails then is repaired by the bridge itself, so that the API call, whose change is in the database, succeeds.
"""

from oslo_config import cfg
from oslo_log import log as logging

from percale_neutron import client as bridge
from percale_neutron import compat
from percale_neutron import options
from percale_neutron import reader
from percale_neutron import worker

LOG = logging.getLogger(__name__)

# What a tap has whose port's MAC address is malformed.
_FALLBACK_TAP_MAC = '00:61:fe:ed:ca:fe'
# Neutron's echoes of our own status updates differ in these alone.
_ECHO = frozenset(('status', 'updated_at', 'revision_number'))


def tap_mac(port_mac):
    """What libvirt gives a tap: 0xfe and the last five octets of the guest's address. The same on every hypervisor, so that a
    migrated guest's gateway keeps its MAC address.
    """
    octets = (port_mac or '').split(':')
    if len(octets) != 6 or not all(len(octet) == 2 for octet in octets):
        return _FALLBACK_TAP_MAC
    return ':'.join(['fe'] + octets[1:])


def is_echo(old, new):
    return old is not None and all(old.get(key) == new.get(key) for key in set(old) | set(new) if key not in _ECHO)


class CalicoMechanismDriver(compat.mech_agent.SimpleAgentMechanismDriverBase):

    def __init__(self):
        super().__init__(compat.AGENT_TYPE, 'tap', {'port_filter': True, 'mac_address': _FALLBACK_TAP_MAC})

    def initialize(self):
        options.register()
        self._bridge = bridge.Client(cfg.CONF.percale.socket, cfg.CONF.percale.timeout)

    def get_workers(self):
        return [worker.BridgeWorker()]

    @property
    def bridge(self):
        return self._bridge

    # Binding.

    def get_allowed_network_types(self, agent=None):
        return ('local', 'flat')

    def get_mappings(self, agent):
        return {}

    def check_segment_for_agent(self, segment, agent):
        if segment['network_type'] in self.get_allowed_network_types(agent):
            return True
        LOG.warning('A network of type %s cannot be routed; use local or flat', segment['network_type'])
        return False

    def try_to_bind_segment_for_agent(self, context, segment, agent):
        if not self.check_segment_for_agent(segment, agent):
            return False
        details = dict(self.vif_details, mac_address=tap_mac(context.current.get('mac_address')))
        context.set_binding(segment['id'], self.vif_type, details)
        return True

    # Ports.

    def create_port_precommit(self, context):
        super().create_port_precommit(context)
        self._bridge.check('create', 'port', context.current, network=context.network.current)

    def update_port_precommit(self, context):
        super().update_port_precommit(context)
        if not is_echo(context.original, context.current):
            self._bridge.check('update', 'port', context.current, context.original, context.network.current)

    def create_port_postcommit(self, context):
        self.tell('port', context.current['id'])

    def update_port_postcommit(self, context):
        if not is_echo(context.original, context.current):
            self.tell('port', context.current['id'])

    def delete_port_postcommit(self, context):
        self.tell('port', context.current['id'])

    # Networks and subnets.

    def create_network_precommit(self, context):
        self._bridge.check('create', 'network', context.current)

    def update_network_precommit(self, context):
        self._bridge.check('update', 'network', context.current, context.original)

    def update_network_postcommit(self, context):
        if any(context.current.get(key) != context.original.get(key) for key in ('name', 'admin_state_up')):
            self.tell('network', context.current['id'])

    def create_subnet_precommit(self, context):
        self._bridge.check('create', 'subnet', context.current)

    def update_subnet_precommit(self, context):
        self._bridge.check('update', 'subnet', context.current, context.original)

    def create_subnet_postcommit(self, context):
        self.tell('subnet', context.current['id'])

    def update_subnet_postcommit(self, context):
        self.tell('subnet', context.current['id'])

    def delete_subnet_postcommit(self, context):
        self.tell('subnet', context.current['id'])

    def tell(self, kind, object_id):
        """Says after the commit that something has changed. Never raises."""
        if not object_id:
            return
        try:
            self._bridge.changed([{'kind': kind, 'id': object_id}], reader.read)
        except bridge.BridgeError as error:
            LOG.error('%s %s has changed, and the bridge was not told: it repairs that by itself: %s', kind, object_id,
                      error.message)
        except Exception:
            # The change is in the database; what went wrong here is repaired by the next resync, the API call has succeeded.
            LOG.exception('%s %s has changed, and telling the bridge failed', kind, object_id)
