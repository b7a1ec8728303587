"""Everything that differs between releases of Neutron, Ocata to the newest; nothing else in this package tries imports."""

import inspect

from oslo_log import log as logging
from oslo_utils import timeutils

try:
    from neutron_lib import exceptions
except ImportError:
    from neutron.common import exceptions

try:
    from neutron_lib import context as neutron_context
except ImportError:  # before Pike
    from neutron import context as neutron_context

from neutron_lib.plugins import directory

try:
    from neutron_lib import worker as worker_base  # Pike
except ImportError:
    from neutron import worker as worker_base
if not hasattr(worker_base, 'BaseWorker'):
    from neutron import worker as worker_base

try:
    from neutron_lib.callbacks import events, registry, resources  # Pike
except ImportError:
    from neutron.callbacks import events, registry, resources

try:
    from neutron_lib.plugins.ml2 import api as ml2_api  # Queens
except ImportError:
    from neutron.plugins.ml2 import driver_api as ml2_api  # noqa: F401

try:
    from neutron_lib.db import api as db_api  # Queens
except ImportError:
    from neutron.db import api as db_api

try:
    from neutron.db.models import l3 as l3_models  # Ocata
except ImportError:
    from neutron.db import l3_db as l3_models
try:
    from neutron.db.models import securitygroup as sg_models
except ImportError:
    from neutron.db import securitygroups_db as sg_models
from neutron.db import models_v2
from neutron.plugins.ml2.drivers import mech_agent  # noqa: F401

LOG = logging.getLogger(__name__)

# Newer than some releases: resources are plain names, so an older Neutron simply never publishes them.
ADDRESS_GROUP = 'address_group'
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
    if hasattr(db_api, 'CONTEXT_READER'):  # Rocky
        return db_api.CONTEXT_READER.using(context)
    if hasattr(db_api, 'context_manager'):
        return db_api.context_manager.reader.using(context)
    return context.session.begin(subtransactions=True)


def core_plugin():
    return directory.get_plugin()


def l3_plugin():
    """Whoever knows floating IPs; None if nobody does."""
    plugin = directory.get_plugin('L3_ROUTER_NAT')
    return plugin or (core_plugin() if hasattr(core_plugin(), 'get_floatingips') else None)


def subscribe(callback, resource, event):
    registry.subscribe(callback, resource, event)


def told_states(payload, arguments, name):
    """The object's states that a callback tells, oldest first; arguments by name were the way before payloads (Zed)."""
    if payload is not None:
        states = [state for state in (getattr(payload, 'states', None) or ()) if isinstance(state, dict)]
        latest = getattr(payload, 'latest_state', None)
        if isinstance(latest, dict) and latest not in states:
            states.append(latest)
        return states
    return [arguments[key] for key in ('original_' + name, 'old_' + name, name) if isinstance(arguments.get(key), dict)]


def told_context(payload, arguments):
    return payload.context if payload is not None else arguments.get('context')


def told_id(payload, arguments, name):
    if payload is not None:
        return getattr(payload, 'resource_id', None)
    return arguments.get(name + '_id')


def told_metadata(payload, arguments, name):
    if payload is not None:
        return (getattr(payload, 'metadata', None) or {}).get(name)
    return arguments.get(name)


def update_port_status(port_id, status, host):
    plugin = core_plugin()
    if 'host' in inspect.signature(plugin.update_port_status).parameters:
        return plugin.update_port_status(admin_context(), port_id, status, host=host)
    return plugin.update_port_status(admin_context(), port_id, status)


def record_agent(state):
    """One agent's heartbeat, straight into the agents table: no message bus is needed for it."""
    plugin = core_plugin()
    plugin.create_or_update_agent(admin_context(), state, timeutils.utcnow())


def l3_relationships():
    """Makes SQLAlchemy add the floating IPs' relationships to ports, which Neutron's own service plugin does by being loaded."""
    l3_models.Router()
