#include "model/service_ranges.h"

#include <algorithm>
#include <string_view>

#include <boost/json.hpp>

namespace model {
namespace {

namespace json = boost::json;

const json::value* member(const json::value* parent, std::string_view name) {
  const json::object* object = parent != nullptr ? parent->if_object() : nullptr;
  return object != nullptr ? object->if_contains(name) : nullptr;
}

}  // namespace

std::optional<std::vector<base::Prefix>> service_ranges(const DocumentChange& change) {
  if (change.key.kind != DocumentKind::kBgpConfiguration || change.key.name != "default") return std::nullopt;
  std::vector<base::Prefix> ranges;
  if (!change.value || *change.value == nullptr) return ranges;
  const json::value* spec = (*change.value)->if_contains("spec");
  for (const std::string_view field : {"serviceClusterIPs", "serviceExternalIPs", "serviceLoadBalancerIPs"}) {
    const json::value* list = member(spec, field);
    if (list == nullptr || !list->is_array()) continue;
    for (const json::value& entry : list->get_array()) {
      const json::value* cidr = member(&entry, "cidr");
      if (cidr == nullptr || !cidr->is_string()) continue;
      if (const auto range = base::parse_cidr(cidr->get_string())) ranges.push_back(*range);
    }
  }
  std::ranges::sort(ranges);
  ranges.erase(std::ranges::unique(ranges).begin(), ranges.end());
  return ranges;
}

}  // namespace model
