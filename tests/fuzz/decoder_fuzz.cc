// Any bytes as etcd key and value. Input: the key up to the first line feed, then the value.
#include <cstdint>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "model/decoder.h"

namespace {

using model::Decoder;

// What the agent does with an interface name is open /proc/sys/net/ipv4/conf/<name>/.
void check_interface(const model::WorkloadInterface& interface) {
  CHECK(!interface.name.empty() && interface.name.find('/') == std::string::npos);
  CHECK(interface.name != "." && interface.name != "..");
}

void check_rules(const std::vector<model::Rule>& rules) {
  for (const model::Rule& rule : rules) {
    // The kernel knows these matches only beside their protocol.
    const int protocol = rule.protocol ? rule.protocol->number : 0;
    CHECK(!(rule.icmp || rule.not_icmp) || protocol == 1 || protocol == 58);
    for (const model::RuleEntity* side : {&rule.source, &rule.destination}) {
      for (const model::Port& port : side->ports) CHECK(port.is_named() || (port.first > 0 && port.first <= port.last));
      for (const base::Prefix& net : side->nets) CHECK(net == net.masked());
    }
  }
}

struct CheckValue {
  void operator()(const model::WorkloadEndpointChange& change) const {
    if (!change.value) return;
    CHECK(!change.value->membership.addresses.empty());
    if (change.value->interface) check_interface(*change.value->interface);
  }
  void operator()(const model::PolicyChange& change) const {
    if (!change.value) return;
    CHECK(!change.value->tier.empty());
    // A namespaced policy never reaches beyond its namespace.
    if (!change.key.ns.empty()) CHECK(!change.value->selector.matches({}));
    check_rules(change.value->ingress);
    check_rules(change.value->egress);
  }
  void operator()(const model::ProfileChange& change) const {
    CHECK(change.key.name.view() != model::kDefaultAllowProfile);
    if (!change.value) return;
    check_rules(change.value->ingress);
    check_rules(change.value->egress);
  }
  template <typename Other>
  void operator()(const Other&) const {}
};

bool has_value(const model::Update& update) {
  return std::visit([](const auto& change) { return change.value.has_value(); }, update);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view key = input.substr(0, input.find('\n'));
  const std::string_view value = key.size() == input.size() ? std::string_view() : input.substr(key.size() + 1);

  base::Interner interner;
  Decoder decoder({.hostname = "compute-01", .allow_source_spoofing = true}, interner);
  Decoder::Output first, second, gone;
  decoder.put(key, value, first);
  for (const model::Update& update : first.updates) std::visit(CheckValue(), update);

  // The decoder keeps nothing from one value to the next.
  decoder.put(key, value, second);
  CHECK(first.diagnostics == second.diagnostics);
  CHECK(first.updates.size() == second.updates.size());
  for (std::size_t i = 0; i < first.updates.size(); ++i) {
    CHECK(has_value(first.updates[i]) == has_value(second.updates[i]));
  }

  decoder.erase(key, gone);
  CHECK(gone.updates.size() == first.updates.size());
  for (const model::Update& update : gone.updates) CHECK(!has_value(update));
  return 0;
}
