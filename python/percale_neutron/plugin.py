"""The core plugin `calico`: ML2 with the mechanism driver of the same name, and floating IPs.

There is no L3 agent: a router only gives Neutron a reason to accept a floating IP. What ML2 cannot refuse before it commits
(security groups and their rules, floating IPs) is checked here.
"""

from neutron.plugins.ml2 import plugin as ml2_plugin  # before l3_db: its models refer to ML2's

from neutron.db import dns_db
from neutron.db import l3_db
from oslo_config import cfg

from percale_neutron import compat


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
        cfg.CONF.set_override('type_drivers', ['local', 'flat'], group='ml2')
        cfg.CONF.set_override('tenant_network_types', ['local'], group='ml2')
        compat.l3_relationships()
        super().__init__()

    def _check(self, operation, kind, obj, original=None):
        driver = self.mechanism_manager.mech_drivers['calico'].obj
        driver.bridge.check(operation, kind, obj, original)

    def create_security_group(self, context, security_group, default_sg=False):
        if not default_sg:
            self._check('create', 'security_group', security_group['security_group'])
        return super().create_security_group(context, security_group, default_sg)

    def update_security_group(self, context, id, security_group):
        self._check('update', 'security_group', dict(security_group['security_group'], id=id))
        return super().update_security_group(context, id, security_group)

    def create_security_group_rule(self, context, security_group_rule):
        self._check('create', 'security_group_rule', security_group_rule['security_group_rule'])
        return super().create_security_group_rule(context, security_group_rule)

    def create_security_group_rule_bulk(self, context, security_group_rules):
        for rule in security_group_rules['security_group_rules']:
            self._check('create', 'security_group_rule', rule['security_group_rule'])
        return super().create_security_group_rule_bulk(context, security_group_rules)

    def create_floatingip(self, context, floatingip, initial_status='ACTIVE'):
        self._check('create', 'floatingip', floatingip['floatingip'])
        return super().create_floatingip(context, floatingip, initial_status)

    def update_floatingip(self, context, id, floatingip):
        self._check('update', 'floatingip', dict(floatingip['floatingip'], id=id))
        return super().update_floatingip(context, id, floatingip)
