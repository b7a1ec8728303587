// local_endpoints.h: the endpoints of this host with their profiles and ordered policies, and what is wrong with them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calc/endpoints/local_table.h"
#include "calc/output.h"
#include "model/update.h"

namespace calc {

class LocalEndpoints {
 public:
  LocalEndpoints(PolicyTable& policies, ProfileTable& profiles)
      : workloads_(policies, profiles), hosts_(policies, profiles) {}

  // REQUIRES value.interface.
  void put(const model::WorkloadEndpointKey& key, const model::WorkloadEndpoint& value);
  void put(const model::HostEndpointKey& key, const model::HostEndpoint& value);
  void erase(const model::WorkloadEndpointKey& key) { workloads_.erase(key); }
  void erase(const model::HostEndpointKey& key) { hosts_.erase(key); }

  // Endpoints that are new, gone or different, `changed_groups` being those whose policies changed. True if an endpoint
  // itself changed, so that problems() may have.
  bool collect(const std::set<GroupId>& changed_groups, Changes& changes);

  // Endpoints of this host that contradict each other. Sorted.
  std::vector<model::Diagnostic> problems() const;

  void begin_resync();
  void keep(const model::WorkloadEndpointKey& key) { workloads_.keep(key); }  // counts as put
  void keep(const model::HostEndpointKey& key) { hosts_.keep(key); }
  // Erases what has not been put since begin_resync().
  void end_resync();

 private:
  struct WorkloadOwn {
    std::shared_ptr<const model::WorkloadInterface> interface;
    friend bool operator==(const WorkloadOwn& a, const WorkloadOwn& b) {
      return a.interface == b.interface || (a.interface && b.interface && *a.interface == *b.interface);
    }
  };
  struct HostOwn {
    std::string interface_name;
    std::vector<base::IpAddress> addresses;
    std::optional<std::uint8_t> dscp;
    friend bool operator==(const HostOwn&, const HostOwn&) = default;
  };

  LocalTable<model::WorkloadEndpointKey, WorkloadOwn> workloads_;
  LocalTable<model::HostEndpointKey, HostOwn> hosts_;
};

}  // namespace calc
