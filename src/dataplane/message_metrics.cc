#include "dataplane/message_metrics.h"

#include <string>
#include <utility>

namespace dataplane {
namespace {

enum Type : std::size_t {
  kInSync,
  kEncapsulation,
  kIpSetUpdate,
  kIpSetDelta,
  kIpSetRemove,
  kPolicyUpdate,
  kPolicyRemove,
  kProfileUpdate,
  kProfileRemove,
  kWorkloadUpdate,
  kWorkloadRemove,
  kHostEndpointUpdate,
  kHostEndpointRemove,
  kPoolUpdate,
  kPoolRemove,
  kHostUpdate,
  kHostRemove,
  kRouteUpdate,
  kRouteRemove,
  kTypeCount
};
constexpr std::array<const char*, kTypeCount> kNames = {
    "InSync",
    "Encapsulation",
    "IPSetUpdate",
    "IPSetDeltaUpdate",
    "IPSetRemove",
    "ActivePolicyUpdate",
    "ActivePolicyRemove",
    "ActiveProfileUpdate",
    "ActiveProfileRemove",
    "WorkloadEndpointUpdate",
    "WorkloadEndpointRemove",
    "HostEndpointUpdate",
    "HostEndpointRemove",
    "IPAMPoolUpdate",
    "IPAMPoolRemove",
    "HostMetadataUpdate",
    "HostMetadataRemove",
    "RouteUpdate",
    "RouteRemove",
};

void observe(base::Summary& summary, std::uint64_t& pending) {
  if (pending > 0) summary.observe(static_cast<double>(std::exchange(pending, 0)));
}

}  // namespace

MessageMetrics::MessageMetrics(base::MetricRegistry& metrics)
    : metrics_(metrics),
      batch_(metrics.summary("felix_int_dataplane_msg_batch_size", "Results of the calculation per turn.")),
      link_batch_(metrics.summary("felix_int_dataplane_iface_msg_batch_size", "Changes of interfaces per turn.")),
      address_batch_(
          metrics.summary("felix_int_dataplane_addr_msg_batch_size", "Changes of interfaces' addresses per turn.")) {
  static_assert(kTypeCount == kTypes);
}

void MessageMetrics::count(std::size_t type, std::size_t messages) {
  if (messages == 0) return;
  if (!std::exchange(seen_[type], true)) {
    by_type_[type] = metrics_.counter("felix_int_dataplane_messages", "Results of the calculation, by type.",
                                      {{"type", kNames[type]}});
  }
  by_type_[type].add(messages);
  messages_ += messages;
}

void MessageMetrics::output(const calc::Output& output) {
  const bool snapshot = std::holds_alternative<calc::Snapshot>(output);
  const calc::Changes& changes =
      snapshot ? std::get<calc::Snapshot>(output).all : std::get<calc::Delta>(output).changes;
  count(kIpSetUpdate, changes.sets_created.size());
  count(kIpSetDelta, changes.sets_changed.size());
  count(kIpSetRemove, changes.sets_removed.size());
  count(kPolicyUpdate, changes.policies.size());
  count(kPolicyRemove, changes.policies_removed.size());
  count(kProfileUpdate, changes.profiles.size());
  count(kProfileRemove, changes.profiles_removed.size());
  count(kWorkloadUpdate, changes.workloads.size());
  count(kWorkloadRemove, changes.workloads_removed.size());
  count(kHostEndpointUpdate, changes.host_endpoints.size());
  count(kHostEndpointRemove, changes.host_endpoints_removed.size());
  count(kPoolUpdate, changes.pools.size());
  count(kPoolRemove, changes.pools_removed.size());
  count(kHostUpdate, changes.nodes.size());
  count(kHostRemove, changes.nodes_removed.size());
  count(kRouteUpdate, changes.routes.size());
  count(kRouteRemove, changes.routes_removed.size());
  if (snapshot) count(kInSync, 1);
}

void MessageMetrics::tunnels() { count(kEncapsulation, 1); }

void MessageMetrics::turn() {
  observe(batch_, messages_);
  observe(link_batch_, links_);
  observe(address_batch_, addresses_);
}

}  // namespace dataplane
