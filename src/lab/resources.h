// resources.h: what the lab writes into etcd, byte for byte as an OpenStack cloud has it: endpoints and security groups
// as the Neutron driver writes them (spec openstack §2.4, §2.5, §2.8), nodes and BGP objects as an operator does.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/fwd.hpp>

#include "lab/plan.h"

namespace lab {

struct Record {
  std::string key;
  std::string value;
};

struct SecurityGroup {
  std::string name;
  std::string id;
};
SecurityGroup make_group(std::string name);  // the id follows from the name

std::string endpoint_key(const Guest& guest);
std::string policy_key(const SecurityGroup& group);
std::string resource_key(std::string_view plural, std::string_view name, std::string_view ns = {});

Record workload_endpoint(const Guest& guest, const std::vector<SecurityGroup>& groups);

// One Neutron rule, before the driver translates it.
struct GroupRule {
  bool ingress = true;
  int ip_version = 4;
  std::string protocol = {};      // "", "tcp", "udp", "icmp"
  int port = 0;                   // 0: all
  std::string remote_group = {};  // id; empty: anybody
};
Record group_policy(const SecurityGroup& group, const std::vector<GroupRule>& rules);
// What Neutron gives a project's default group: everything out, everything in from the group itself.
std::vector<GroupRule> default_rules(const SecurityGroup& group);

Record node_resource(const Host& host);
// The pools of guests and of tunnels with the plan's encapsulation; none for PoolMode::kNone.
std::vector<Record> pool_records(const Plan& plan);
// Cluster, agents and BGP: what must be there before any agent starts.
std::vector<Record> cluster_records(const Plan& plan);
// Any other resource with a spec of the caller's.
Record resource(std::string_view kind, std::string_view plural, std::string_view name, boost::json::object spec,
                std::string_view ns = {});

}  // namespace lab
