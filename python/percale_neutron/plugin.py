"""The core plugin `calico`: ML2 with the mechanism driver of the same name, and floating IPs.

There is no L3 agent: a router only gives Neutron a reason to accept a floating IP. What ML2 cannot refuse before it commits
(security groups and their rules, floating IPs) is checked here.
"""

from neutron.plugins.ml2 import plugin as ml2_plugin  # before l3_db: its models refer to ML2's

from neutron.db import dns_db
from neutron.db import l3_db
from oslo_config import cfg

from percale_neutron import compat
from percale_neutron import worker


class CalicoPlugin(ml2_plugin.Ml2Plugin, l3_db.L3_NAT_db_mixin, dns_db.DNSDbMixin):

    # Neutron looks these up by the name of this very class.
    __native_bulk_support = True
    __native_pagination_support = True
    __native_sorting_support = True
    __filter_validation_support = True

    _supported_extension_aliases = [
        alias for alias in ml2_plugin.Ml2Plugin._supported_extension_aliases if alias != 'dhcp_agent_scheduler'
    ] + ['router']

    def __init__(self):
        # A network has no segments of its own here: addresses are routed, whatever carries them.
        cfg.CONF.set_override('mechanism_drivers', ['calico'], group='ml2')
        compat.set_network_types(['local', 'flat'], of_projects=['local'])
        compat.know_qos()
        compat.l3_relationships()
        self._workers_are_run = False
        super().__init__()

    # The worker for the bridge. neutron-server runs plugins' workers, and so does neutron-periodic-workers from 2026.2 on. Before,
    # nobody does where the API is apart from the workers: then it shares the process that takes agents' reports.

    def get_workers(self):
        self._workers_are_run = True
        return super().get_workers()

    def start_rpc_state_reports_listener(self):
        if not self._workers_are_run:
            worker.serve()
        return super().start_rpc_state_reports_listener()

    # Before the commit: whatever cannot be honoured is refused. After it: the bridge is told, which never fails.

    def _driver(self):
        return self.mechanism_manager.mech_drivers['calico'].obj

    def _check(self, operation, kind, obj):
        self._driver().bridge.check(operation, kind, obj)

    def _tell(self, kind, ids):
        for object_id in sorted(filter(None, set(ids))):
            self._driver().tell(kind, object_id)

    # Security groups.

    def create_security_group(self, context, security_group, default_sg=False):
        if not default_sg:
            self._check('create', 'security_group', compat.group_to_be(self, context, security_group['security_group']))
        group = super().create_security_group(context, security_group, default_sg)
        self._tell('security_group', [group['id']])
        return group

    def update_security_group(self, context, id, security_group):
        self._check('update', 'security_group', dict(security_group['security_group'], id=id))
        group = super().update_security_group(context, id, security_group)
        self._tell('security_group', [id])
        return group

    def delete_security_group(self, context, id):
        super().delete_security_group(context, id)
        self._tell('security_group', [id])

    def create_security_group_rule(self, context, security_group_rule):
        self._check('create', 'security_group_rule', security_group_rule['security_group_rule'])
        rule = super().create_security_group_rule(context, security_group_rule)
        self._tell('security_group', [rule['security_group_id']])
        return rule

    def create_security_group_rule_bulk(self, context, security_group_rules):
        for rule in security_group_rules['security_group_rules']:
            self._check('create', 'security_group_rule', rule['security_group_rule'])
        rules = super().create_security_group_rule_bulk(context, security_group_rules)
        self._tell('security_group', [rule['security_group_id'] for rule in rules])
        return rules

    def delete_security_group_rule(self, context, id):
        rule = self.get_security_group_rule(context, id)
        super().delete_security_group_rule(context, id)
        self._tell('security_group', [rule['security_group_id']])

    # What groups are made with, where Neutron has that: rules (2023.2), statefulness (2026.2).

    def create_default_security_group_rule(self, context, default_security_group_rule):
        self._check('create', 'security_group_rule', default_security_group_rule['default_security_group_rule'])
        return super().create_default_security_group_rule(context, default_security_group_rule)

    def create_security_groups_default_statefulness(self, context, security_groups_default_statefulness):
        self._check('create', 'security_group', security_groups_default_statefulness['security_groups_default_statefulness'])
        return super().create_security_groups_default_statefulness(context, security_groups_default_statefulness)

    def update_security_groups_default_statefulness(self, context, id, security_groups_default_statefulness):
        self._check('create', 'security_group', security_groups_default_statefulness['security_groups_default_statefulness'])
        return super().update_security_groups_default_statefulness(context, id, security_groups_default_statefulness)

    # Address groups, where Neutron has them (Wallaby).

    def create_address_group(self, context, address_group):
        group = super().create_address_group(context, address_group)
        self._tell('address_group', [group['id']])
        return group

    def update_address_group(self, context, id, address_group):
        group = super().update_address_group(context, id, address_group)
        self._tell('address_group', [id])
        return group

    def delete_address_group(self, context, id):
        super().delete_address_group(context, id)
        self._tell('address_group', [id])

    def add_addresses(self, context, address_group_id, addresses):
        group = super().add_addresses(context, address_group_id, addresses)
        self._tell('address_group', [address_group_id])
        return group

    def remove_addresses(self, context, address_group_id, addresses):
        group = super().remove_addresses(context, address_group_id, addresses)
        self._tell('address_group', [address_group_id])
        return group

    # Floating IPs: what changes is the port that one points to, and the port that it pointed to before.

    def create_floatingip(self, context, floatingip, initial_status='ACTIVE'):
        self._check('create', 'floatingip', floatingip['floatingip'])
        made = super().create_floatingip(context, floatingip, initial_status)
        self._tell('port', [made.get('port_id')])
        return made

    def update_floatingip(self, context, id, floatingip):
        self._check('update', 'floatingip', dict(floatingip['floatingip'], id=id))
        before = self.get_floatingip(context, id)
        after = super().update_floatingip(context, id, floatingip)
        self._tell('port', [before.get('port_id'), after.get('port_id')])
        return after

    def delete_floatingip(self, context, id):
        before = self.get_floatingip(context, id)
        super().delete_floatingip(context, id)
        self._tell('port', [before.get('port_id')])
