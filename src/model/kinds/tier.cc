// Tier (spec datamodel §4.5; spec cli §6.3).

#include <optional>
#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr double kDefaultOrder = 1'000'000;

constexpr Field kSpecFields[] = {
    {.name = "order",
     .type = FieldType::kFloat,
     .doc = "Tiers apply in ascending order.",
     .presence = Presence::kOmitAbsent,
     .default_json = "1000000"},
    {.name = "defaultAction",
     .doc = "What happens to traffic that a policy of the tier applies to and no rule decides: Deny, or Pass to the "
            "next tier.",
     .words = "Deny/Pass",
     .default_json = "\"Deny\""},
};
constexpr Struct kSpec = {.go_type = "TierSpec", .fields = kSpecFields};

constexpr Field kStatusFields[] = {
    {.name = "conditions", .type = FieldType::kAny, .doc = "Not used with this datastore."},
};
constexpr Struct kStatus = {.go_type = "TierStatus", .fields = kStatusFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "ORDER", .path = "spec.order", .style = CellStyle::kPointer},
};

struct FixedTier {
  std::string_view name;
  double order;
  std::string_view action;
  std::string_view reason;
};
constexpr FixedTier kFixedTiers[] = {
    {"default", 1e6, "Deny", "default tier order must be 1e+06"},
    {"kube-admin", 1e3, "Pass", "kube-admin tier order must be 1000"},
    {"kube-baseline", 1e7, "Pass", "kube-baseline tier order must be 1e+07"},
};

std::optional<double> order_of(const Resource& resource) {
  const boost::json::value* order = find(resource, "spec.order");
  if (order == nullptr || !order->is_number()) return std::nullopt;
  return order->to_number<double>();
}

void check_tier(const Resource& resource, Problems& problems) {
  if (!is_dns_label(resource.name())) {
    problems.add(
        "Metadata.Name", std::string(resource.name()),
        "name must consist of lower case alphanumeric characters or '-' (regex: [a-z0-9]([-a-z0-9]*[a-z0-9])?)");
  }
  for (const FixedTier& tier : kFixedTiers) {
    if (resource.name() != tier.name) continue;
    const auto order = order_of(resource);
    if (!order || *order != tier.order) {
      problems.add("TierSpec.Order", order ? format_float_for_table(*order) : "<nil>", std::string(tier.reason));
    }
    if (text_of(resource.spec(), "defaultAction") != tier.action) {
      problems.add_schema("Tier", "The '" + std::string(tier.name) + "' tier must have default action '" +
                                      std::string(tier.action) + "'");
    }
  }
}

void show_order(Resource& resource, ReadReason why) {
  if (why == ReadReason::kList && !order_of(resource)) resource.spec()["order"] = kDefaultOrder;
}

}  // namespace

const Kind kTier = {
    .name = "Tier",
    .plural = "tiers",
    .aliases = "tier tiers",
    .doc = "An ordered group of policies. Tiers apply one after another; Pass hands a packet to the next.",
    .spec = &kSpec,
    .status = &kStatus,
    .status_presence = Presence::kAlways,
    .columns = kColumns,
    .ps = "NAME ORDER",
    .wide = "NAME ORDER",
    .check = check_tier,
    .after_read = show_order,
};

}  // namespace model::kinds
