"""Names of projects, from Keystone with [keystone_authtoken]'s credentials. A project that cannot be had is left out.

A project's name is remembered for _REMEMBER seconds, so that a rename arrives with a later resync.
"""

import threading
import time

from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
_REMEMBER = 300
_PAUSE_AFTER_FAILURE = 30
_GROUP = 'keystone_authtoken'

_lock = threading.Lock()
_known = {}  # id -> (until, project)
_asked_not_before = 0.0
_session = None


def projects(ids):
    """[{id, name, parent_id}] of those that are known."""
    return [project for project in (_project(project_id) for project_id in sorted(filter(None, ids))) if project]


def _project(project_id):
    global _asked_not_before
    now = time.monotonic()
    with _lock:
        until, project = _known.get(project_id, (0.0, None))
        if now < until or now < _asked_not_before:
            return project
    try:
        fresh = _ask(project_id)
    except Exception as error:  # whatever it is, ports must work without names
        LOG.warning('Keystone does not tell about project %s; labels with project names are left out: %s', project_id, error)
        with _lock:
            _asked_not_before = now + _PAUSE_AFTER_FAILURE
        return project
    with _lock:
        _known[project_id] = (now + _REMEMBER, fresh)
    return fresh


def _ask(project_id):
    session = _keystone()
    if session is None:
        return None
    response = session.get('/projects/%s' % project_id,
                           endpoint_override=_auth_url(), headers={'Accept': 'application/json'}, raise_exc=False)
    if response.status_code == 404:
        return None
    response.raise_for_status()
    project = response.json()['project']
    return {'id': project['id'], 'name': project['name'], 'parent_id': project.get('parent_id')}


def _option(name):
    try:
        return cfg.CONF[_GROUP][name]
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError):
        return None


def _auth_url():
    url = (_option('auth_url') or '').rstrip('/')
    return (url[:-3].rstrip('/') if url.endswith('/v3') else url) + '/v3'


def _keystone():
    """None where Neutron runs without Keystone."""
    global _session
    if _session is not None:
        return _session
    try:
        from keystoneauth1 import loading
        loading.register_auth_conf_options(cfg.CONF, _GROUP)
        loading.register_session_conf_options(cfg.CONF, _GROUP)
    except ImportError:
        return None
    if not (_option('auth_type') or _option('auth_section')):
        return None
    auth = loading.load_auth_from_conf_options(cfg.CONF, _GROUP)
    _session = loading.load_session_from_conf_options(cfg.CONF, _GROUP, auth=auth)
    return _session
