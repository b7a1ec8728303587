#include "render/iptables/dispatch_chains.h"

#include <algorithm>

#include "render/iptables/names.h"

namespace render::iptables {
namespace {

Match interface_match(const DispatchTree& tree, std::string name) {
  if (tree.by_input) return InInterface{std::move(name)};
  return OutInterface{std::move(name)};
}

Rule endpoint_rule(const DispatchTree& tree, std::string_view interface) {
  return {{interface_match(tree, std::string(interface))}, Goto{length_limited(tree.endpoint_prefix, interface)}};
}

}  // namespace

std::vector<DispatchBin> bin_interfaces(const std::vector<std::string_view>& interfaces) {
  std::vector<DispatchBin> bins;
  if (interfaces.empty()) return bins;
  // Sorted, so what the first and last have in common all have in common.
  const std::string_view first = interfaces.front();
  const std::string_view last = interfaces.back();
  const auto [split, unused] = std::mismatch(first.begin(), first.end(), last.begin(), last.end());
  const auto common = static_cast<std::size_t>(split - first.begin());
  for (const std::string_view name : interfaces) {
    const std::string_view key = name.substr(0, common + 1);
    if (bins.empty() || bins.back().key != key) bins.push_back({std::string(key), {}, key.back()});
    bins.back().interfaces.push_back(name);
  }
  return bins;
}

std::string child_name(const DispatchTree& tree, const DispatchBin& bin) {
  std::string name(tree.root);
  return name.append("-").append(1, bin.next);
}

Chain render_dispatch_root(const DispatchTree& tree, const std::vector<DispatchBin>& bins) {
  Chain chain{std::string(tree.root), {}};
  for (const DispatchBin& bin : bins) {
    if (bin.interfaces.size() == 1) {
      chain.rules.push_back(endpoint_rule(tree, bin.interfaces.front()));
    } else {
      chain.rules.push_back({{interface_match(tree, bin.key + "+")}, Goto{child_name(tree, bin)}});
    }
  }
  chain.rules.insert(chain.rules.end(), tree.end.begin(), tree.end.end());
  return chain;
}

Chain render_dispatch_child(const DispatchTree& tree, const DispatchBin& bin) {
  Chain chain{child_name(tree, bin), {}};
  for (const std::string_view interface : bin.interfaces) chain.rules.push_back(endpoint_rule(tree, interface));
  chain.rules.insert(chain.rules.end(), tree.end.begin(), tree.end.end());
  return chain;
}

}  // namespace render::iptables
