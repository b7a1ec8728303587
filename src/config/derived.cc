#include "config/derived.h"

#include <algorithm>

#include "base/strings.h"

namespace config {
namespace {

constexpr base::Duration kMinWatchdog = std::chrono::seconds(20);
constexpr std::int64_t kDefaultMetadataPort = 8775;
constexpr std::uint32_t kFirstKernelTable = 253;
constexpr std::uint32_t kLastKernelTable = 255;

bool is_on(std::string_view mode) { return mode == "Always" || mode == "CrossSubnet"; }

void add_without_kernel_tables(std::vector<TableRange>& out, const TableRange& range) {
  if (range.first < kFirstKernelTable) out.push_back({range.first, std::min(range.last, kFirstKernelTable - 1)});
  if (range.last > kLastKernelTable) out.push_back({std::max(range.first, kLastKernelTable + 1), range.last});
}

}  // namespace

bool openstack_mode(const Resolved& resolved) {
  const std::string& metadata = resolved.text(Parameter::kMetadataAddr);
  const std::int64_t port = resolved.integer(Parameter::kMetadataPort);
  const Texts& prefixes = resolved.texts(Parameter::kInterfacePrefix);
  return base::to_lower(resolved.text(Parameter::kClusterType)).find("openstack") != std::string::npos ||
         (!metadata.empty() && metadata != "127.0.0.1") || (port != 0 && port != kDefaultMetadataPort) ||
         std::find(prefixes.begin(), prefixes.end(), "tap") != prefixes.end();
}

Encapsulation encapsulation(const Resolved& resolved, const std::vector<PoolModes>& pools) {
  Encapsulation from_pools;
  for (const PoolModes& pool : pools) {
    const bool v4 = pool.family == base::Family::kIpv4;
    from_pools.ipip |= is_on(pool.ipip_mode);
    (v4 ? from_pools.vxlan_v4 : from_pools.vxlan_v6) |= is_on(pool.vxlan_mode);
  }
  return {resolved.optional_flag(Parameter::kIpInIpEnabled).value_or(from_pools.ipip),
          resolved.optional_flag(Parameter::kVXLANEnabled).value_or(from_pools.vxlan_v4), from_pools.vxlan_v6};
}

FilterSettings filter_settings(const Resolved& resolved) {
  const bool nft = resolved.text(Parameter::kNFTablesMode) == "Enabled";
  const auto pick = [&](Parameter with_nft, Parameter with_iptables) { return nft ? with_nft : with_iptables; };
  using P = Parameter;
  return {resolved.text(pick(P::kNftablesFilterAllowAction, P::kIptablesFilterAllowAction)),
          resolved.text(pick(P::kNftablesMangleAllowAction, P::kIptablesMangleAllowAction)),
          resolved.text(pick(P::kNftablesFilterDenyAction, P::kIptablesFilterDenyAction)),
          static_cast<std::uint32_t>(resolved.integer(pick(P::kNftablesMarkMask, P::kIptablesMarkMask))),
          resolved.duration(pick(P::kNftablesRefreshInterval, P::kIptablesRefreshInterval))};
}

std::vector<TableRange> route_tables(const Resolved& resolved) {
  const std::vector<TableRange>& several = resolved.table_ranges(Parameter::kRouteTableRanges);
  const std::vector<TableRange>& one = resolved.table_ranges(Parameter::kRouteTableRange);
  std::vector<TableRange> out;
  for (const TableRange& range : several.empty() ? one : several) add_without_kernel_tables(out, range);
  if (out.empty()) out.push_back({1, 250});
  return out;
}

std::optional<base::IpAddress> metadata_address(const Resolved& resolved) {
  auto address = base::parse_address(resolved.text(Parameter::kMetadataAddr));
  return address ? std::optional(*address) : std::nullopt;
}

bool is_leader(const Resolved& resolved) { return resolved.text(Parameter::kVariant) == "Calico"; }

base::Duration watchdog_timeout(const Resolved& resolved) {
  return std::max(kMinWatchdog, resolved.duration(Parameter::kDataplaneWatchdogTimeout));
}

std::string region_text(const Resolved& resolved) {
  const std::string& region = resolved.text(Parameter::kOpenstackRegion);
  return region.empty() ? "no-region" : "region-" + region;
}

std::optional<base::LogLevel> log_level(std::string_view severity) {
  if (severity == "TRACE") return base::LogLevel::kTrace;
  if (severity == "DEBUG") return base::LogLevel::kDebug;
  if (severity == "INFO") return base::LogLevel::kInfo;
  if (severity == "WARNING") return base::LogLevel::kWarning;
  if (severity == "ERROR") return base::LogLevel::kError;
  if (severity == "FATAL") return base::LogLevel::kFatal;
  return std::nullopt;
}

}  // namespace config
