// route_filters.h: the functions and filters of one address family: which routes BIRD announces, learns from the kernel
// and writes into it (spec bgp §3.4–§3.8). Pure.
//
// Defined names: prio_out4/6(), prio_in4/6(), classify4/6(), export_common4/6(bool same_as), the filters bgp_in4/6,
// bgp_out4/6_same and bgp_out4/6_other, each also with _classify, own_routes4/6, kernel_import4/6, kernel_marks4/6 and
// kernel_export4/6. BGPFilter functions stand between prio_in and the rest.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "bgp/inputs.h"
#include "bgp/peering.h"
#include "bgp/text.h"

namespace bgp {

class RouteFilters {
 public:
  // All must outlive this object. `workload_test` is a condition that holds for routes of guests' interfaces.
  RouteFilters(const Inputs& inputs, const Configuration& global, const Identity& self, std::string workload_test)
      : inputs_(inputs), global_(global), self_(self), workload_test_(std::move(workload_test)) {}

  // A statement of an export filter for sessions that say classifies_out.
  static std::string classify_the_rest(base::Family family);

  void write(base::Family family, Text& text, Diagnostics& out) const;
  // Blackholes that keep unused addresses of this node's ranges from leaving by the default route.
  std::vector<base::Prefix> blackholes(base::Family family) const;

 private:
  void priorities(base::Family family, Text& text) const;
  void tag_communities(base::Family family, Text& text) const;
  void classify(base::Family family, Text& text) const;
  void export_common(base::Family family, Text& text) const;
  void reflect_unnamed(base::Family family, Text& text) const;
  void session_filters(base::Family family, Text& text) const;
  void kernel_import(base::Family family, Text& text) const;
  void kernel_marks(base::Family family, Text& text, Diagnostics& out) const;
  void kernel_export(base::Family family, Text& text) const;
  void kernel_pool(const base::Prefix& cidr, model::EncapMode ipip, model::EncapMode vxlan, Text& text) const;

  std::uint32_t normal_priority(base::Family family) const;
  bool host_routes(base::Family family) const;
  bool announces_services() const;
  const std::vector<Advertisement>& advertisements() const;
  std::vector<base::Prefix> service_ranges(base::Family family) const;
  std::vector<base::Prefix> announced_blocks(base::Family family) const;
  std::vector<base::Prefix> pools(base::Family family, bool exported) const;

  const Inputs& inputs_;
  const Configuration& global_;
  const Identity& self_;
  const std::string workload_test_;
};

const Configuration& configuration(const Inputs& inputs, const std::string& name);

}  // namespace bgp
