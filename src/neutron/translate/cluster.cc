#include "neutron/translate/cluster.h"

#include <fmt/core.h>

#include <boost/json/parse.hpp>

#include <algorithm>
#include <string_view>

#include "base/strings.h"

namespace neutron {
namespace {

constexpr std::size_t kGuidLength = 32;

json::object stored_spec(const std::optional<std::string>& stored) {
  if (!stored) return {};
  boost::system::error_code error;
  const json::value value = json::parse(*stored, error);
  if (error || !value.is_object()) return {};
  return inner(value.get_object(), "spec");
}

bool is_guid(std::string_view text) {
  return text.size() == kGuidLength && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

// What follows `"name":` in a text that is no JSON any more.
std::string_view salvage(std::string_view text, std::string_view name) {
  const auto at = text.find('"' + std::string(name) + '"');
  if (at == std::string_view::npos) return {};
  std::string_view rest = text.substr(at + name.size() + 2);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n:"), rest.size()));
  return rest;
}

std::string salvage_guid(const std::optional<std::string>& stored) {
  if (!stored) return {};
  std::string_view rest = salvage(*stored, "clusterGUID");
  if (rest.starts_with('"')) rest.remove_prefix(1);
  rest = rest.substr(0, kGuidLength);
  return is_guid(rest) ? std::string(rest) : std::string();
}

// The values must be there; everything else stays.
Adjusted adjust(const std::optional<std::string>& stored, std::string_view kind, json::object spec,
                const Stamp& stamp) {
  Desired desired{.kind = kind, .name = "default", .ns = {}};
  desired.spec = std::move(spec);
  Merged merged = merge(stored, desired, stamp);
  return {.value = std::move(merged.value), .members = std::move(merged.members)};
}

}  // namespace

Adjusted adjust_cluster_information(const std::optional<std::string>& stored,
                                    const std::optional<std::string>& last_good, const std::string& fresh_guid,
                                    const Stamp& stamp) {
  json::object spec = stored_spec(stored);
  const bool damaged = stored && spec.empty();
  std::vector<std::string> notes;
  if (damaged) spec = stored_spec(last_good);
  if (text(spec, "clusterGUID").empty()) {
    std::string guid = salvage_guid(stored);
    if (guid.empty()) {
      guid = fresh_guid;
      if (damaged) {
        notes.push_back(
            fmt::format("ClusterInformation 'default' is unreadable and gets a new cluster GUID; it was: {}",
                        stored->substr(0, 1000)));
      }
    }
    spec["clusterGUID"] = guid;
  }
  const std::string type(text(spec, "clusterType"));
  if (type.find("openstack") == std::string::npos)
    spec["clusterType"] = type.empty() ? "openstack" : type + ",openstack";
  if (!spec.contains("datastoreReady")) {
    spec["datastoreReady"] = !(damaged && salvage(*stored, "datastoreReady").starts_with("false"));
  }
  Adjusted result = adjust(stored, "ClusterInformation", std::move(spec), stamp);
  result.notes = std::move(notes);
  return result;
}

Adjusted adjust_felix_configuration(const std::optional<std::string>& stored, const Stamp& stamp) {
  json::object spec = stored_spec(stored);
  spec["endpointReportingEnabled"] = true;
  const std::string prefixes(text(spec, "interfacePrefix"));
  const auto named = base::split(prefixes, ',');
  if (std::ranges::find(named, "tap") == named.end()) {
    spec["interfacePrefix"] = prefixes.empty() ? "tap" : prefixes + ",tap";
  }
  return adjust(stored, "FelixConfiguration", std::move(spec), stamp);
}

bool allows_spoofing(const std::optional<std::string>& felix_configuration) {
  return text(stored_spec(felix_configuration), "workloadSourceSpoofing") == "Any";
}

}  // namespace neutron
