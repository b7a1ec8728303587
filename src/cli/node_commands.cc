// The options of the node commands.

#include "cli/commands.h"

namespace cli {

namespace {
constexpr Option kHelp = {"help", 'h', {}, "Show this text."};
constexpr Option kConfig = {"config", 'c', "CONFIG",
                            "File with the connection settings. [default: /etc/calico/calicoctl.cfg]"};
constexpr Option kMismatch = {"allow-version-mismatch", 0, {}, "Work on a cluster of another version."};
}  // namespace

std::vector<Command> node_commands() {
  return {
      {{"node init",
        "",
        "Write this host's Node resource, and the pool and tunnel addresses it needs.",
        {{"name", 0, "NAME", "Name of the node. [default: $NODENAME, else the name used before, else the host's name]"},
         {"ip", 0, "ADDRESS", "IPv4 address, CIDR, autodetect or none. [default: $IP]"},
         {"ip6", 0, "ADDRESS", "The same for IPv6. [default: $IP6]"},
         {"ip-autodetection-method", 0, "METHOD",
          "first-found, can-reach=HOST, interface=RE,…, skip-interface=RE,… or cidr=CIDR,…"},
         {"ip6-autodetection-method", 0, "METHOD", "The same for IPv6."},
         {"as", 0, "NUMBER", "AS number. [default: $AS, else what is stored, else the cluster's]"},
         {"openstack", 0, {}, "Marks a new cluster as OpenStack's; --pool then gets IP-in-IP."},
         {"pool", 0, "CIDR", "Creates this pool if the cluster has none of its IP version yet."},
         {"tunnel-pool", 0, "CIDR", "A pool of their own for tunnel addresses, made with --pool."},
         {"ipip", 0, "MODE", "Of that pool: Always, CrossSubnet or Never. [default: Always with --openstack]"},
         {"vxlan", 0, "MODE", "Of that pool: Always, CrossSubnet or Never. [default: Never]"},
         {"block-size", 0, "LENGTH", "Prefix length of that pool's blocks. [default: 26, IPv6 122]"},
         {"nat-outgoing", 0, {}, "Masquerade what leaves that pool."},
         {"skip-address-check", 0, {}, "Do not look whether another node has the address."},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0,
        "May be run any number of times: what is there already stays. Pools that exist are never changed. The\n"
        "variables of calico/node (NODENAME, IP, IP6, AS, IP_AUTODETECTION_METHOD, CALICO_IPV4POOL_CIDR, …) are\n"
        "read too; without a pool asked for none is created.\n"},
       run_node_init},
      {{"node status",
        "",
        "Show whether agent and BIRD run, and the BGP sessions.",
        {{"output", 'o', "OUTPUT", "text, json, or resource: a CalicoNodeStatus as YAML. [default: text]"},
         {"routes", 0, {}, "BIRD's routes, too."},
         {"report", 0, {}, "Fill in the CalicoNodeStatus objects of this node instead of printing."},
         {"socket", 0, "PATH", "BIRD's control socket. [default: the first of the usual places]"},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_node_status},
      {{"node checksystem",
        "",
        "Check whether this host fulfils the requirements, and say what to do if not.",
        {{"kernel-config", 'f', "FILE", "Configuration of the kernel. [default: /boot/config-VERSION]"},
         {"output", 'o', "OUTPUT", "text or json. [default: text]"},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0,
        "Uses each facility of the kernel in a network namespace of its own, which makes the kernel load modules.\n"
        "With a datastore also tries the connections to etcd and to the nodes that it knows.\n"},
       run_node_checksystem},
  };
}

}  // namespace cli
