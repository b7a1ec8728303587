"""Neutron's side of Percale: hooks that tell the bridge what has changed, and a worker that reads for it.

All translation is in the bridge (percale-neutron, C++); the protocol is docs/neutron-bridge.md.

  mech_driver  what ML2 calls: ports, networks, subnets
  plugin       ML2 plus floating IPs, as one core plugin; security groups, address groups, floating IPs
  worker       the process that answers the bridge's questions
  reader       one question: objects of one kind out of Neutron's database
  client       JSON over the bridge's Unix socket
  options      [calico] and [percale] of neutron.conf
  compat       everything that differs between releases of Neutron
"""

__version__ = '0.1.0'
