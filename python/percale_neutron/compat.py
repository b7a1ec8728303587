"""Everything that differs between releases of Neutron, Ocata to the newest; nothing else in this package tries imports."""

import datetime
import inspect

from oslo_config import cfg
from oslo_utils import timeutils

from neutron.db import models_v2
from neutron.db.models import agent as agent_models
from neutron.db.models import l3 as l3_models
from neutron.db.models import securitygroup as sg_models
from neutron.plugins.ml2.drivers import mech_agent  # noqa: F401
from neutron_lib import context as neutron_context
from neutron_lib import exceptions
from neutron_lib.plugins import directory

try:
    from neutron_lib.worker import BaseWorker  # Pike
except ImportError:
    from neutron.worker import NeutronWorker as BaseWorker  # noqa: F401

try:
    from neutron_lib.db import api as db_api  # Pike
except ImportError:
    from neutron.db import api as db_api

AGENT_TYPE = 'Calico per-host agent (felix)'


class _Refused(exceptions.NeutronException):
    message = '%(reason)s'


class BadRequest(_Refused, exceptions.BadRequest):
    message = '%(reason)s'


class Conflict(_Refused, exceptions.Conflict):
    message = '%(reason)s'


class ServiceUnavailable(_Refused, exceptions.ServiceUnavailable):
    message = '%(reason)s'


def api_error(status, message):
    """The exception that makes Neutron's API answer with this status and text."""
    if status == 409:
        return Conflict(reason=message)
    if status >= 500:
        return ServiceUnavailable(reason=message)
    return BadRequest(reason=message)


def admin_context():
    return neutron_context.get_admin_context()


def reader(context):
    """A database transaction for reading."""
    if hasattr(db_api, 'get_context_manager'):
        return db_api.get_context_manager().reader.using(context)
    return db_api.context_manager.reader.using(context)


def writer(context):
    if hasattr(db_api, 'get_context_manager'):
        return db_api.get_context_manager().writer.using(context)
    return db_api.context_manager.writer.using(context)


def core_plugin():
    return directory.get_plugin()


def l3_plugin():
    """Whoever knows floating IPs; None if nobody does."""
    plugin = directory.get_plugin('L3_ROUTER_NAT')
    return plugin or (core_plugin() if hasattr(core_plugin(), 'get_floatingips') else None)


def update_port_status(port_id, status, host):
    core_plugin().update_port_status(admin_context(), port_id, status, host=host)


def record_agent(state, age):
    """One agent's heartbeat, straight into the agents table: no message bus is needed for it. `age`: seconds since it was made."""
    plugin = core_plugin()
    context = admin_context()
    made = timeutils.utcnow() - datetime.timedelta(seconds=age)
    if 'agent_timestamp' in inspect.signature(plugin.create_or_update_agent).parameters:  # Ussuri
        plugin.create_or_update_agent(context, state, made)
    else:
        plugin.create_or_update_agent(context, state)
    if age:
        # Neutron has written down the present, whatever it was told: an agent that died since would count as alive.
        with writer(context):
            row = context.session.query(agent_models.Agent).filter_by(agent_type=state['agent_type'], host=state['host'])
            row.update({'heartbeat_timestamp': made})


def set_network_types(allowed, of_projects):
    """Network types, of which projects get `of_projects`. To be called when ML2's options are registered."""
    cfg.CONF.set_override('type_drivers', allowed, group='ml2')
    # 2026.1 has another name for it, and set_override takes only the current one.
    name = 'project_network_types' if 'project_network_types' in cfg.CONF.ml2 else 'tenant_network_types'
    cfg.CONF.set_override(name, of_projects, group='ml2')


def know_qos():
    """Where the QoS service plugin is loaded, lets ML2 see which policy a port or network is given, so that it can be refused. Without
    this, Neutron takes the attribute and forgets it, or does not start.
    """
    drivers = list(cfg.CONF.ml2.extension_drivers)
    if 'qos' not in drivers and any('qos' in name.lower() for name in cfg.CONF.service_plugins):
        cfg.CONF.set_override('extension_drivers', drivers + ['qos'], group='ml2')


def group_to_be(plugin, context, group):
    """A security group that is asked for, with its project's default where it does not say whether it is stateful (2026.2)."""
    if isinstance(group.get('stateful'), bool) or not hasattr(plugin, 'get_default_stateful_for_project'):
        return group
    return dict(group, stateful=plugin.get_default_stateful_for_project(context, group['project_id']))


def l3_relationships():
    """Makes SQLAlchemy add the floating IPs' relationships to ports, which Neutron's own service plugin does by being loaded."""
    l3_models.Router()
