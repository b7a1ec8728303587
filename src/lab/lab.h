// lab.h: a running lab: several hosts on one machine, each with its own agent, BIRD, files and firewall, guests with
// real packets, and one real etcd outside them. Made by create(), found again by open() (from its processes and its
// directory), taken away by destroy(), which also clears what a crashed create() left.
//
// Commands of one lab must not run at the same time; different labs do not disturb each other: every interface, address
// and firewall rule lives in a namespace of its lab.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "bgp/replies.h"
#include "lab/namespaces.h"
#include "lab/plan.h"
#include "lab/probe.h"
#include "lab/resources.h"
#include "store/blocking.h"
#include "store/store.h"

namespace lab {

struct AgentOptions {
  std::string program;          // empty: percaled beside this program; "none": no agent, routes are made by hand
  std::string backend = "nft";  // FELIX_IPTABLESBACKEND
  std::vector<std::string> environment = {};  // further "NAME=value"
  bool is_none() const { return program == "none"; }
};

struct LabOptions {
  Topology topology;
  AgentOptions agent;
  int patience = 1;  // how much slower than hardware the machine is: every limit on time is multiplied
};

class Lab {
 public:
  static base::Result<std::unique_ptr<Lab>> create(const Paths& paths, LabOptions options);
  static base::Result<std::unique_ptr<Lab>> open(const Paths& paths);
  static base::Result<> destroy(const Paths& paths);
  // Names of the labs of this machine.
  static std::vector<std::string> all(const std::string& root);

  const Plan& plan() const { return plan_; }
  const Paths& paths() const { return paths_; }
  const AgentOptions& agent_options() const { return agent_; }
  int patience() const { return patience_; }

  // --- datastore ---
  // REQUIRES on first use: no threads yet, because the caller's process moves into etcd's network.
  base::Result<store::BlockingStore*> datastore();
  base::Result<store::Revision> put(const Record& record);
  base::Result<> remove(const std::string& key);
  base::Result<> start_etcd();
  base::Result<> kill_etcd();
  // Drops every packet between the host and etcd, in both directions, without telling either end.
  base::Result<> cut_from_etcd(const Host& host, bool cut);
  std::string etcd_url() const;
  // Writes the guests' pools again with another encapsulation. REQUIRES: the lab has pools.
  base::Result<> set_pool_mode(PoolMode mode);

  // --- hosts ---
  // What a power failure looks like to everybody else: the host's port on the underlay's switch goes dark. Its programs
  // live on, unheard; etcd still hears them.
  base::Result<> cut_from_underlay(const Host& host, bool cut);
  base::Result<> start_agent(const Host& host);
  std::optional<pid_t> agent_pid(const Host& host) const;
  base::Result<> kill_agent(const Host& host, int signal);
  bool agent_ready(const Host& host) const;
  // After a crash, `again` has it take over the kernel's routes instead of starting empty (graceful restart).
  base::Result<> start_bird(const Host& host, bool again = false);
  base::Result<> kill_bird(const Host& host);
  // Of any node that runs BIRD, routers included.
  base::Result<bgp::BgpStatus> bird_status(std::string_view node) const;

  // --- guests ---
  // Wires the guest into its host; the agent learns of it from its endpoint in the datastore.
  base::Result<> add_guest(const Guest& guest);
  base::Result<> remove_guest(std::string_view name);
  base::Result<ProbeClient> prober(std::string_view guest) const;

  const Node& node(std::string_view name) const;  // REQUIRES: exists
  const Node* find_node(std::string_view name) const;
  // Environment of programs that are run in the lab: where etcd is.
  std::vector<std::string> environment() const;
  bool has_kernel_route(std::string_view node, const base::IpAddress& address) const;
  // First guest that the node's kernel has no route to, or null.
  const Guest* first_without_route(std::string_view node) const;

 private:
  Lab(Paths paths, LabOptions options);
  base::Result<> build();
  base::Result<> start_nodes();
  base::Result<> wire_management();
  base::Result<> wire_underlay();
  base::Result<> allocate_tunnel_addresses();
  std::string first_uplink_down() const;
  base::Result<> wire_segments(const std::string& router);
  base::Result<> wire_spine();
  base::Result<> wire_host(const Host& host);
  base::Result<> start_routers();
  base::Result<> route_by_hand(const Guest& guest);
  std::string bird_configuration(const Host& host) const;
  std::string bird_socket(std::string_view node) const;
  std::vector<std::string> agent_environment(const Host& host) const;
  base::Result<> save() const;
  base::Result<> load();

  Paths paths_;
  AgentOptions agent_;
  int patience_ = 1;
  Plan plan_;
  std::map<std::string, Node> nodes_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::BlockingStore> blocking_;
};

// Bridge port of `host` in etcd's namespace, at most 15 characters.
std::string management_port(const Host& host);

}  // namespace lab
