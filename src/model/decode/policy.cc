#include "base/check.h"
#include "base/strings.h"
#include "model/decode/decode.h"
#include "model/decode/rewrite.h"

namespace model::decode {
namespace {

bool is_global(Kind kind) { return kind == Kind::kGlobalNetworkPolicy || kind == Kind::kStagedGlobalNetworkPolicy; }

// No types means both directions: this is what Neutron's policies rely on.
void read_types(const Field& types, Policy& policy) {
  if (types.size() == 0) return;
  policy.applies_to_ingress = policy.applies_to_egress = false;
  types.each([&](const Field& type) {
    const std::string_view text = type.text();
    if (base::equal_ignoring_case(text, "ingress")) {
      policy.applies_to_ingress = true;
    } else if (base::equal_ignoring_case(text, "egress")) {
      policy.applies_to_egress = true;
    } else {
      type.refuse_text("is not a policy type", "use Ingress or Egress");
    }
  });
}

void read_policy_selector(const Field& spec, const Key& key, Context& context, Policy& policy) {
  const Field field = spec.member("selector");
  const auto selector = read_selector(field);
  const auto accounts = read_selector(spec.member("serviceAccountSelector"));
  auto namespaces = std::optional<std::string_view>("");
  if (is_global(key.kind)) namespaces = read_selector(spec.member("namespaceSelector"));
  if (!selector || !accounts || !namespaces) return;
  policy.selector = parse_merged(field, merge_policy_selectors({*selector, *namespaces, *accounts}, key.ns), context);
}

void read_hints(const Field& hints, Policy& policy) {
  hints.each([&](const Field& hint) {
    if (hint.text() == "AssumeNeededOnEveryNode") policy.needed_on_every_node = true;
  });
}

}  // namespace

std::optional<Policy> read_policy(const Field& document, const Key& key, Context& context) {
  const Field spec = document.member("spec");
  if (spec.member("stagedAction").text() == "Delete") return std::nullopt;
  if (!quote_literal(key.ns)) {
    document.refuse("the namespace holds both kinds of quotes", "use a valid namespace");
    return std::nullopt;
  }
  Policy policy;
  const std::string_view tier = spec.member("tier").text();
  policy.tier = context.interner.intern(tier.empty() ? "default" : tier);
  policy.order = spec.member("order").number();
  read_policy_selector(spec, key, context, policy);
  policy.ingress = read_rules(spec.member("ingress"), key.ns, context);
  policy.egress = read_rules(spec.member("egress"), key.ns, context);
  read_types(spec.member("types"), policy);
  read_hints(spec.member("performanceHints"), policy);
  if (is_global(key.kind)) {
    policy.do_not_track = spec.member("doNotTrack").boolean();
    policy.pre_dnat = spec.member("preDNAT").boolean();
    policy.apply_on_forward = spec.member("applyOnForward").boolean();
  }
  return policy;
}

std::optional<Tier> read_tier(const Field& document) {
  const Field spec = document.member("spec");
  Tier tier;
  tier.order = spec.member("order").number();
  // Anything but exactly Pass is Deny, so a slip of the pen cannot open a tier.
  if (spec.member("defaultAction").text() == "Pass") tier.default_action = TierAction::kPass;
  return tier;
}

std::optional<Profile> read_profile(const Field& document, Context& context) {
  const Field spec = document.member("spec");
  Profile profile;
  profile.ingress = read_rules(spec.member("ingress"), {}, context);
  profile.egress = read_rules(spec.member("egress"), {}, context);
  profile.labels_to_apply = read_labels(spec.member("labelsToApply"), context);
  return profile;
}

}  // namespace model::decode
