#!/usr/bin/env python3
"""Reads the sources of every Neutron from Ocata on and checks that what the shim uses of them is there: modules, names, classes,
methods with their parameters, constants. Nothing of them is run, so no release's dependencies are needed.

The shim's imports are taken from its own syntax trees; what it calls, overrides and inherits stands in USES. Each release is read
together with the oldest neutron-lib that it accepts. Sources come from PyPI into build/neutron-releases and stay there.
`python3 tests/openstack/releases_test.py [SERIES...]`
"""

import ast
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIM = ROOT / 'python' / 'percale_neutron'
CACHE = ROOT / 'build' / 'neutron-releases'

# Major version of Neutron: name of the release.
SERIES = {
    10: 'Ocata', 11: 'Pike', 12: 'Queens', 13: 'Rocky', 14: 'Stein', 15: 'Train', 16: 'Ussuri', 17: 'Victoria', 18: 'Wallaby',
    19: 'Xena', 20: 'Yoga', 21: 'Zed', 22: '2023.1', 23: '2023.2', 24: '2024.1', 25: '2024.2', 26: '2025.1', 27: '2025.2',
    28: '2026.1', 29: '2026.2'}

# (modules, class, method, parameters that must be there by name, first series); several modules: one of them is enough.
USES = [
    # Inherited or overridden.
    (['neutron.plugins.ml2.drivers.mech_agent'], 'SimpleAgentMechanismDriverBase', '__init__',
     ['agent_type', 'vif_type', 'vif_details'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'SimpleAgentMechanismDriverBase', 'try_to_bind_segment_for_agent',
     ['context', 'segment', 'agent'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'SimpleAgentMechanismDriverBase', 'check_segment_for_agent', ['segment', 'agent'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'SimpleAgentMechanismDriverBase', 'get_allowed_network_types', ['agent'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'SimpleAgentMechanismDriverBase', 'get_mappings', ['agent'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'AgentMechanismDriverBase', 'create_port_precommit', ['context'], 10),
    (['neutron.plugins.ml2.drivers.mech_agent'], 'AgentMechanismDriverBase', 'update_port_precommit', ['context'], 10),
] + [
    (['neutron_lib.plugins.ml2.api', 'neutron.plugins.ml2.driver_api'], 'MechanismDriver', name, ['context'], 10)
    for name in ('create_port_precommit', 'update_port_precommit', 'create_port_postcommit', 'update_port_postcommit',
                 'delete_port_postcommit', 'create_network_precommit', 'update_network_precommit', 'update_network_postcommit',
                 'create_subnet_precommit', 'update_subnet_precommit', 'create_subnet_postcommit', 'update_subnet_postcommit',
                 'delete_subnet_postcommit')
] + [
    (['neutron_lib.plugins.ml2.api', 'neutron.plugins.ml2.driver_api', 'neutron_lib.services.base', 'neutron.worker'],
     ('MechanismDriver', 'WorkerBase', 'WorkerSupportServiceMixin'), 'get_workers', [], 10),
    (['neutron_lib.plugins.ml2.api', 'neutron.plugins.ml2.driver_api'], 'PortContext', 'set_binding',
     ['segment_id', 'vif_type', 'vif_details'], 10),
    (['neutron_lib.worker', 'neutron.worker'], ('BaseWorker', 'NeutronWorker'), '__init__', ['worker_process_count'], 10),
    (['neutron_lib.worker', 'neutron.worker'], ('BaseWorker', 'NeutronWorker'), 'start', [], 10),
    # Who runs the worker: the plugin is asked for it, or told that agents' reports are to be taken.
    (['neutron_lib.services.base', 'neutron.worker'], ('WorkerBase', 'WorkerSupportServiceMixin'), 'get_workers', [], 10),
    (['neutron.plugins.ml2.plugin'], 'Ml2Plugin', 'start_rpc_state_reports_listener', [], 10),
    (['neutron.service'], 'RpcReportsWorker', 'start_listeners_method', [], 10),
    # Security groups.
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'create_default_security_group_rule',
     ['context', 'default_security_group_rule'], 23),
    (['neutron.db.security_groups_default_statefulness'], 'SecurityGroupDefaultStatefulnessMixin',
     'create_security_groups_default_statefulness', ['context', 'security_groups_default_statefulness'], 29),
    (['neutron.db.security_groups_default_statefulness'], 'SecurityGroupDefaultStatefulnessMixin',
     'update_security_groups_default_statefulness', ['context', 'id', 'security_groups_default_statefulness'], 29),
    (['neutron.db.security_groups_default_statefulness'], 'SecurityGroupDefaultStatefulnessMixin', 'get_default_stateful_for_project',
     ['context', 'project_id'], 29),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'create_security_group', ['context', 'security_group', 'default_sg'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'update_security_group', ['context', 'id', 'security_group'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'delete_security_group', ['context', 'id'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'create_security_group_rule', ['context', 'security_group_rule'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'create_security_group_rule_bulk',
     ['context', 'security_group_rules'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'delete_security_group_rule', ['context', 'id'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'get_security_group_rule', ['context', 'id'], 10),
    (['neutron.db.securitygroups_db'], 'SecurityGroupDbMixin', 'get_security_groups', ['context', 'filters', 'default_sg'], 10),
    # Floating IPs.
    (['neutron.db.l3_db'], 'L3_NAT_db_mixin', 'create_floatingip', ['context', 'floatingip', 'initial_status'], 10),
    (['neutron.db.l3_db'], 'L3_NAT_db_mixin', 'update_floatingip', ['context', 'id', 'floatingip'], 10),
    (['neutron.db.l3_db'], 'L3_NAT_db_mixin', 'delete_floatingip', ['context', 'id'], 10),
    (['neutron.db.l3_db'], 'L3_NAT_dbonly_mixin', 'get_floatingip', ['context', 'id'], 10),
    (['neutron.db.l3_db'], 'L3_NAT_dbonly_mixin', 'get_floatingips', ['context', 'filters'], 10),
    (['neutron.db.dns_db'], 'DNSDbMixin', None, [], 10),
    # Address groups.
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'create_address_group', ['context', 'address_group'], 18),
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'update_address_group', ['context', 'id', 'address_group'], 18),
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'delete_address_group', ['context', 'id'], 18),
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'add_addresses', ['context', 'address_group_id', 'addresses'], 18),
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'remove_addresses', ['context', 'address_group_id', 'addresses'], 18),
    (['neutron.db.address_group_db'], 'AddressGroupDbMixin', 'get_address_groups', ['context', 'filters'], 18),
    # Read and written.
    (['neutron.db.db_base_plugin_v2'], 'NeutronDbPluginV2', 'get_ports', ['context', 'filters'], 10),
    (['neutron.db.db_base_plugin_v2'], 'NeutronDbPluginV2', 'get_networks', ['context', 'filters'], 10),
    (['neutron.db.db_base_plugin_v2'], 'NeutronDbPluginV2', 'get_subnets', ['context', 'filters'], 10),
    (['neutron.plugins.ml2.plugin'], 'Ml2Plugin', 'update_port_status', ['context', 'port_id', 'status', 'host'], 10),
    (['neutron.db.agents_db'], 'AgentDbMixin', 'create_or_update_agent', ['context', 'agent_state'], 10),
    (['neutron.db.models_v2'], 'Port', None, [], 10),
    (['neutron.db.models_v2'], 'Subnet', None, [], 10),
    (['neutron.db.models_v2'], 'IPAllocation', 'port_id', [], 10),
    (['neutron.db.models_v2'], 'IPAllocation', 'subnet_id', [], 10),
    (['neutron.db.models.securitygroup'], 'SecurityGroup', None, [], 10),
    (['neutron.db.models.securitygroup'], 'SecurityGroupPortBinding', 'port_id', [], 10),
    (['neutron.db.models.securitygroup'], 'SecurityGroupPortBinding', 'security_group_id', [], 10),
    (['neutron.db.models.l3'], 'Router', None, [], 10),
    (['neutron.db.models.agent'], 'Agent', 'heartbeat_timestamp', [], 10),
    (['neutron.plugins.ml2.plugin'], 'Ml2Plugin', '_supported_extension_aliases', [], 10),
    (['neutron_lib.exceptions', 'neutron_lib.exceptions.__init__'], 'BadRequest', None, [], 10),
    (['neutron_lib.exceptions', 'neutron_lib.exceptions.__init__'], 'Conflict', None, [], 10),
    (['neutron_lib.exceptions', 'neutron_lib.exceptions.__init__'], 'ServiceUnavailable', None, [], 10),
]

# Module-level names the shim uses by attribute, so that its imports do not show them: one of these in each list must exist.
NAMES = [
    ['neutron_lib.context:get_admin_context'],
    ['neutron_lib.plugins.directory:get_plugin'],
    ['neutron_lib.db.api:get_context_manager', 'neutron.db.api:context_manager'],
]

# Options that the shim sets, by the modules that may define them.
OPTIONS = [
    (['neutron.conf.plugins.ml2.config', 'neutron.plugins.ml2.config'], ['mechanism_drivers']),
    (['neutron.conf.plugins.ml2.config', 'neutron.plugins.ml2.config'], ['type_drivers']),
    (['neutron.conf.plugins.ml2.config', 'neutron.plugins.ml2.config'], ['extension_drivers']),
    (['neutron.conf.common'], ['service_plugins']),
    (['neutron.conf.plugins.ml2.config', 'neutron.plugins.ml2.config'], ['tenant_network_types', 'project_network_types']),
]


def fetch(series):
    """The folder with neutron and neutron_lib of a series."""
    folder = CACHE / str(series)
    if (folder / 'complete').exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    neutron = download(folder, 'neutron>=%d,<%d' % (series, series + 1))
    with zipfile.ZipFile(neutron) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
        oldest = re.search(r'Requires-Dist: neutron-lib[^\d]*([\d.]+)', wheel.read(metadata).decode()).group(1)
    major, minor, _ = (oldest + '.0.0').split('.', 2)
    download(folder, 'neutron-lib>=%s,<%s.%d' % (oldest, major, int(minor) + 1))
    (folder / 'complete').touch()
    return folder


def download(folder, requirement):
    into = folder / 'packages'
    before = set(into.glob('*'))
    # The oldest releases of neutron-lib have no wheels.
    for how in (['--only-binary', ':all:'], []):
        done = subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--disable-pip-version-check', '--no-deps', '-d', into,
                               *how, requirement], capture_output=True, text=True)
        if done.returncode == 0:
            break
    else:
        raise RuntimeError('pip cannot get %s: %s' % (requirement, done.stderr[-500:]))
    package = (set(into.glob('*')) - before).pop()
    if package.suffix == '.whl':
        with zipfile.ZipFile(package) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if '/tests/' not in name])
    else:
        with tarfile.open(package) as archive:
            for member in archive.getmembers():
                member.name = member.name.partition('/')[2]
                if member.isfile() and member.name.startswith('neutron_lib/') and '..' not in member.name:
                    archive.extract(member, folder)
    return package


class Release:
    """Modules of a release by name, as syntax trees."""

    def __init__(self, folder):
        self.folder = folder
        self._trees = {}

    def tree(self, module):
        if module not in self._trees:
            path = self.folder.joinpath(*module.split('.'))
            path = path.with_suffix('.py') if path.with_suffix('.py').exists() else path / '__init__.py'
            self._trees[module] = ast.parse(path.read_text()) if path.exists() else None
        return self._trees[module]

    def names(self, module):
        """What the module defines or imports; its submodules too."""
        tree = self.tree(module)
        if tree is None:
            return set()
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(alias.asname or alias.name).split('.')[0] for alias in node.names}
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
        package = self.folder.joinpath(*module.split('.'))
        if package.is_dir():
            found |= {path.stem for path in package.iterdir()}
        return found

    def options(self, module):
        """Names of the options that are made in it."""
        tree = self.tree(module)
        return {node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args and
                isinstance(node.func, ast.Attribute) and node.func.attr.endswith('Opt') and
                isinstance(node.args[0], ast.Constant)} if tree else set()

    def has(self, module, name):
        if name is None:
            return self.tree(module) is not None or self.folder.joinpath(*module.split('.')).is_dir()
        return name in self.names(module)

    def member(self, module, classes, name):
        """The class's member, or that of a base in the same release's tree of the same file; None if there is none."""
        tree = self.tree(module)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.ClassDef) and node.name in classes:
                if name is None:
                    return node
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and inner.name == name:
                        return inner
                    if isinstance(inner, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in inner.targets):
                        return inner
        return None


def imports_of_the_shim():
    """[[(module, name), …alternatives]] of all imports from Neutron; those in one try statement are alternatives."""
    wanted = []
    for path in sorted(SHIM.glob('*.py')):
        tree = ast.parse(path.read_text())
        inside = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Try) and any(_catches_import_error(handler) for handler in node.handlers):
                alternatives = []
                for part in [node.body] + [handler.body for handler in node.handlers]:
                    alternatives += [found for statement in part for found in _imports(statement)]
                    inside |= {id(statement) for statement in part}
                wanted.append((path.name, alternatives))
        for node in ast.walk(tree):
            if id(node) not in inside:
                wanted += [(path.name, [found]) for found in _imports(node)]
    return [(where, alternatives) for where, alternatives in wanted if alternatives]


def _catches_import_error(handler):
    return isinstance(handler.type, ast.Name) and handler.type.id == 'ImportError'


def _imports(node):
    if isinstance(node, ast.ImportFrom) and node.module and node.module.split('.')[0] in ('neutron', 'neutron_lib'):
        return [(node.module, alias.name) for alias in node.names]
    if isinstance(node, ast.Import):
        return [(alias.name, None) for alias in node.names if alias.name.split('.')[0] in ('neutron', 'neutron_lib')]
    return []


def parameters(function):
    arguments = function.args
    return {argument.arg for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs}


def misses(release, series):
    """What the shim needs and this release lacks, one line each."""
    found = []
    for where, alternatives in imports_of_the_shim():
        if not any(release.has(module, name) for module, name in alternatives):
            found.append('%s: import of %s' % (where, ' or '.join('%s.%s' % pair for pair in alternatives)))
    for modules, classes, name, wanted, since in USES:
        if series < since:
            continue
        classes = (classes,) if isinstance(classes, str) else classes
        member = next(filter(None, (release.member(module, classes, name) for module in modules)), None)
        what = '%s.%s.%s' % (modules[0], classes[0], name)
        if member is None:
            found.append(what)
        elif wanted and not set(wanted) <= parameters(member):
            found.append('%s lacks %s' % (what, sorted(set(wanted) - parameters(member))))
    for alternatives in NAMES:
        if not any(release.has(*name.split(':')) for name in alternatives):
            found.append(' or '.join(alternatives))
    for modules, names in OPTIONS:
        if not any(release.options(module) & set(names) for module in modules):
            found.append('option ' + ' or '.join(names))
    return found


class ReleasesTest(unittest.TestCase):
    series = sorted(SERIES)

    def test_each_release_has_what_the_shim_uses(self):
        for series in self.series:
            with self.subTest('%d (%s)' % (series, SERIES[series])):
                release = Release(fetch(series))
                self.assertEqual(misses(release, series), [])
                print('Neutron %d (%s): %d imports, %d members' % (series, SERIES[series], len(imports_of_the_shim()), len(USES)))

    def test_a_missing_name_is_noticed(self):
        """The check itself can fail: a release without one method, and one without a module."""
        folder = fetch(self.series[-1])

        class Poorer(Release):
            def member(self, module, classes, name):
                return None if name == 'delete_floatingip' else super().member(module, classes, name)

            def tree(self, module):
                return None if module == 'neutron.db.dns_db' else super().tree(module)

        found = misses(Poorer(folder), self.series[-1])
        self.assertIn('neutron.db.l3_db.L3_NAT_db_mixin.delete_floatingip', found)
        self.assertIn('neutron.db.dns_db.DNSDbMixin.None', found)


if __name__ == '__main__':
    if len(sys.argv) > 1:
        ReleasesTest.series = [int(text) for text in sys.argv[1:]]
    unittest.main(argv=sys.argv[:1], verbosity=2)
