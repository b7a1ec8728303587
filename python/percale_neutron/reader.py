"""Objects of one kind out of Neutron's database, as a SPEC asks for them (docs/neutron-bridge.md, "SPEC and ANSWER").

Each answer comes from one transaction of its own, which is newer than the question.
"""

from oslo_log import log as logging

from percale_neutron import compat
from percale_neutron import keystone

LOG = logging.getLogger(__name__)
_PAGE = 500


def read(spec):
    context = compat.admin_context()
    with compat.reader(context):
        answer = _KINDS[spec['kind']](context, spec)
    if 'ports' in answer:
        # Keystone is asked outside the transaction: it may take its time.
        answer['projects'] = keystone.projects({_project(port) for port in answer['ports']})
    return answer


def _project(obj):
    return obj.get('project_id') or obj.get('tenant_id')


def _ids(context, model, spec):
    """The ids of a page and whether there are more; of exactly the ids asked for, if the SPEC names them."""
    if 'ids' in spec:
        return list(spec['ids']), False
    limit = int(spec.get('limit') or _PAGE)
    query = context.session.query(model.id)
    for name, value in (spec.get('filter') or {}).items():
        query = _FILTERS[name](query, model, value)
    if spec.get('after'):
        query = query.filter(model.id > spec['after'])
    ids = [row[0] for row in query.order_by(model.id).limit(limit + 1)]
    return ids[:limit], len(ids) > limit


_FILTERS = {
    'network_id': lambda query, model, value: query.filter(model.network_id == value),
    'subnet_id': lambda query, model, value: query.filter(
        model.id.in_(_column(query, compat.models_v2.IPAllocation.port_id, compat.models_v2.IPAllocation.subnet_id == value))),
    'security_group_id': lambda query, model, value: query.filter(
        model.id.in_(_column(query, compat.sg_models.SecurityGroupPortBinding.port_id,
                             compat.sg_models.SecurityGroupPortBinding.security_group_id == value))),
}


def _column(query, column, condition):
    return query.session.query(column).filter(condition)


def _ports(context, spec):
    plugin = compat.core_plugin()
    ids, more = _ids(context, compat.models_v2.Port, spec)
    ports = plugin.get_ports(context, filters={'id': ids}) if ids else []
    ports.sort(key=lambda port: port['id'])
    l3 = compat.l3_plugin()
    found = [port['id'] for port in ports]
    return {
        'ports': ports,
        'networks': _by_id(plugin.get_networks, context, {port['network_id'] for port in ports}),
        'subnets': _by_id(plugin.get_subnets, context, {ip['subnet_id'] for port in ports for ip in port['fixed_ips']}),
        'security_groups': _group_names(context, {group for port in ports for group in port.get('security_groups') or ()}),
        'floatingips': l3.get_floatingips(context, filters={'port_id': found}) if l3 and found else [],
        'more': more,
    }


def _by_id(get, context, ids):
    return get(context, filters={'id': sorted(ids)}) if ids else []


def _group_names(context, ids):
    if not ids:
        return []
    model = compat.sg_models.SecurityGroup
    rows = context.session.query(model.id, model.name).filter(model.id.in_(ids))
    return [{'id': row[0], 'name': row[1]} for row in rows]


def _security_groups(context, spec):
    ids, more = _ids(context, compat.sg_models.SecurityGroup, spec)
    # default_sg: a look-up must not create anybody's default group.
    groups = compat.core_plugin().get_security_groups(context, filters={'id': ids}, default_sg=True) if ids else []
    return {'security_groups': groups, 'more': more}


def _subnets(context, spec):
    ids, more = _ids(context, compat.models_v2.Subnet, spec)
    return {'subnets': _by_id(compat.core_plugin().get_subnets, context, ids), 'more': more}


def _address_groups(context, spec):
    plugin = compat.core_plugin()
    if not hasattr(plugin, 'get_address_groups'):  # before Wallaby
        return {'address_groups': [], 'more': False}
    filters = {'id': spec['ids']} if 'ids' in spec else {}
    groups = sorted(plugin.get_address_groups(context, filters=filters), key=lambda group: group['id'])
    groups = [group for group in groups if group['id'] > (spec.get('after') or '')]
    limit = len(groups) if 'ids' in spec else int(spec.get('limit') or _PAGE)
    return {'address_groups': groups[:limit], 'more': len(groups) > limit}


_KINDS = {'ports': _ports, 'security_groups': _security_groups, 'subnets': _subnets, 'address_groups': _address_groups}
