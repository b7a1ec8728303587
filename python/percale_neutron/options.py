"""Options of neutron.conf. The bridge reads the same file; the shim itself needs only [percale].

[calico] is registered so that a configuration written for networking-calico is known to oslo.config as it is.
"""

from oslo_config import cfg

CALICO = [
    cfg.StrOpt('etcd_host', default='127.0.0.1', help='Host of etcd.'),
    cfg.IntOpt('etcd_port', default=2379, help='Port of etcd.'),
    cfg.StrOpt('etcd_scheme', default='http', help='Not used: HTTPS follows from the TLS files.'),
    cfg.StrOpt('etcd_key_file', help='Key of the client certificate for etcd.'),
    cfg.StrOpt('etcd_cert_file', help='Client certificate for etcd.'),
    cfg.StrOpt('etcd_ca_cert_file', help="Certificates that etcd's is checked against."),
    cfg.StrOpt('etcd_username', help='User of etcd.'),
    cfg.StrOpt('etcd_password', secret=True, help='Password of that user.'),
    cfg.IntOpt('etcd_timeout', default=60, help='Seconds for one request to etcd.'),
    cfg.StrOpt('openstack_region', help='This cloud among several on one etcd.'),
    cfg.StrOpt('elector_name', help='Name in the election of the leading controller; the host name if not set.'),
    cfg.IntOpt('num_port_status_threads', default=4, help='How many port statuses are written at a time.'),
    cfg.IntOpt('etcd_compaction_period_mins', default=60, help="Minutes between compactions of etcd's history."),
    cfg.IntOpt('etcd_compaction_min_revisions', default=1000, help='Revisions that are always kept.'),
    cfg.IntOpt('project_name_cache_max', default=100, help='Projects whose names are remembered.'),
    cfg.IntOpt('resync_interval_secs', default=60, help='Seconds between resyncs; 0 for only one.'),
    cfg.IntOpt('resync_max_interval_secs', default=3600, help='Complain when no resync ended for so long.'),
    cfg.IntOpt('max_ingress_connections_per_port', default=0, help='Connections to each port; 0 for no limit.'),
    cfg.IntOpt('max_egress_connections_per_port', default=0, help='Connections from each port; 0 for no limit.'),
    cfg.IntOpt('ingress_burst_bits', default=4294967296, help='Burst of bandwidth limits.'),
    cfg.IntOpt('egress_burst_bits', default=4294967296, help='Burst of bandwidth limits.'),
    cfg.IntOpt('ingress_minburst_bytes', default=0, help='Burst at the peak rate.'),
    cfg.IntOpt('egress_minburst_bytes', default=0, help='Burst at the peak rate.'),
    cfg.IntOpt('ingress_burst_packets', default=5, help='Burst of packet rate limits.'),
    cfg.IntOpt('egress_burst_packets', default=5, help='Burst of packet rate limits.'),
]

PERCALE = [
    cfg.StrOpt('socket', default='/run/percale/neutron.sock', help='Socket of percale-neutron.'),
    cfg.IntOpt('timeout', default=15, help='Seconds that an API call waits for the bridge.'),
    cfg.IntOpt('worker_connections', default=4, help="How many of the bridge's questions are answered at a time."),
]


def register(conf=cfg.CONF):
    conf.register_opts(CALICO, 'calico')
    conf.register_opts(PERCALE, 'percale')


def list_opts():
    return [('calico', CALICO), ('percale', PERCALE)]
