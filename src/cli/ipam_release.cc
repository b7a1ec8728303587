// ipam release (spec cli §9.3): one address, or what reports of `ipam check` agree to be leaked.

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "cli/commands.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;

namespace {

struct Report {
  std::string guid;
  std::string version;
  std::string revision;  // of ClusterInformation
  std::map<base::IpAddress, ipam::Release> leaked;
  std::map<std::string, std::string> handles;  // leaked: revision by name
};

Error unusable(const std::string& path, std::string_view why) {
  return Error::invalid("cannot use report " + path + ": " + std::string(why));
}

base::Result<void> read_leaks(const boost::json::value& allocations, const std::string& path, Report& report) {
  if (!allocations.is_object()) return base::fail(unusable(path, "allocations is not an object"));
  for (const auto& [text, list] : allocations.get_object()) {
    const auto address = base::parse_address(text);
    if (!address || !list.is_array()) return base::fail(unusable(path, "bad allocation of " + std::string(text)));
    for (const boost::json::value& value : list.get_array()) {
      if (!value.is_object()) return base::fail(unusable(path, "bad allocation of " + std::string(text)));
      const boost::json::object& entry = value.get_object();
      if (model::flag_of(entry, "inUse")) continue;
      ipam::Release release{.address = *address};
      release.handle = std::string(model::text_of(entry, "handle"));
      const boost::json::value* number = entry.if_contains("sequenceNumber");
      boost::system::error_code failure;
      if (number != nullptr) release.sequence = number->to_number<std::uint64_t>(failure);
      if (failure) return base::fail(unusable(path, "bad sequence number of " + std::string(text)));
      report.leaked[*address] = std::move(release);
    }
  }
  return {};
}

base::Result<Report> read_report(node::Host& host, const std::string& path) {
  const auto text = host.read_file(path);
  if (!text) return base::fail(text.error());
  boost::system::error_code failure;
  const boost::json::value parsed = boost::json::parse(*text, failure);
  if (failure || !parsed.is_object()) return base::fail(unusable(path, "it is not a JSON object"));
  const boost::json::object& object = parsed.get_object();
  Report report;
  report.guid = model::text_of(object, "clusterGUID");
  report.version = model::text_of(object, "version");
  report.revision = model::text_of(object, "clusterInformationRevision");
  if (const auto* allocations = object.if_contains("allocations"); allocations != nullptr && !allocations->is_null()) {
    if (auto done = read_leaks(*allocations, path, report); !done) return base::fail(done.error());
  }
  if (const auto* handles = object.if_contains("leakedHandles"); handles != nullptr && handles->is_array()) {
    for (const boost::json::value& handle : handles->get_array()) {
      if (!handle.is_object()) return base::fail(unusable(path, "bad handle"));
      report.handles[std::string(model::text_of(handle.get_object(), "ID"))] =
          model::text_of(handle.get_object(), "Revision");
    }
  }
  return report;
}

bool same(const ipam::Release& a, const ipam::Release& b) { return a.handle == b.handle && a.sequence == b.sequence; }

// What every report says, in the same words.
void intersect(Report& into, const Report& other) {
  std::erase_if(into.leaked, [&](const auto& entry) {
    const auto found = other.leaked.find(entry.first);
    return found == other.leaked.end() || !same(found->second, entry.second);
  });
  std::erase_if(into.handles, [&](const auto& entry) {
    const auto found = other.handles.find(entry.first);
    return found == other.handles.end() || found->second != entry.second;
  });
}

class ReleaseFromReports {
 public:
  ReleaseFromReports(Session& session, const Arguments& arguments, Client& client)
      : session_(session),
        arguments_(arguments),
        client_(client),
        ipam_(client.store(), client.ipam_sources(), {.outage = {}}) {}

  base::Result<void> run() {
    if (auto agreed = read_reports(); !agreed) return agreed;
    if (auto done = release_addresses(); !done) return done;
    delete_handles();
    print("You may now unlock the data store.\n");
    return {};
  }

 private:
  void print(const std::string& text) { session_.environment().print(text); }

  base::Result<void> read_reports() {
    const bool force = arguments_.has("force");
    const auto information = client_.get(model::kinds::kClusterInformation, {}, "default");
    if (!information) return base::fail(information.error());
    const auto refuse = [](std::string text) { return base::fail(Error(ErrorKind::kInvalid, std::move(text))); };
    bool current = false, first = true;
    for (const std::string& path : arguments_.values("from-report")) {
      auto report = read_report(session_.environment().host(), path);
      if (!report) return base::fail(report.error());
      if (report->guid != model::text_of(information->spec(), "clusterGUID")) {
        return refuse("cluster does not match the provided report (" + path +
                      "): mismatched cluster GUID. Refusing to release");
      }
      if (report->version != kClientVersion && !force) {
        return refuse("the provided report (" + path + ") was produced using a different version (" + report->version +
                      ") of calicoctl. Refusing to release");
      }
      if (report->version != kClientVersion)
        print("WARNING: Report was produced using a different version of calicoctl. Ignoring due to --force option\n");
      current = current || report->revision == information->resource_version();
      if (first) {
        agreed_ = *std::move(report);
        first = false;
      } else {
        intersect(agreed_, *report);
      }
    }
    if (!current) {
      return refuse(
          "the provided reports are all stale - at least one should be up-to-date. Please generate a new report while "
          "the data store is locked and try again");
    }
    const boost::json::value* ready = model::find(*information, "spec.datastoreReady");
    const bool locked = ready != nullptr && ready->is_bool() && !ready->get_bool();
    if (!locked && !force)
      return refuse("data store is not locked. Either lock the data store, or re-run with --force");
    if (!locked) print("WARNING: Data store is not locked. Ignoring due to --force option\n");
    return {};
  }

  base::Result<void> release_addresses() {
    if (agreed_.leaked.empty()) {
      print("Report didn't contain any leaked IPs to clean up.\n");
      return {};
    }
    print(fmt::format("Releasing {} old IPs...\n", agreed_.leaked.size()));
    std::vector<ipam::Release> requests;
    for (const auto& [address, release] : agreed_.leaked) requests.push_back(release);
    const auto outcome = ipam_.release(requests);
    if (!outcome) return base::fail(outcome.error());
    if (outcome->error) {
      print("An error occurred while releasing some IPs: " + outcome->error->text() +
            ".  Problems are often caused by an out-of-date IPAM report.  Try regenerating the IPAM report and "
            "retry.\n");
    } else {
      print(fmt::format("Released {} IPs successfully\n", outcome->released.size()));
    }
    if (!outcome->unallocated.empty()) {
      print(fmt::format("{} addresses marked as leaked in the report had already been cleaned up.\n",
                        outcome->unallocated.size()));
    }
    return {};
  }

  void delete_handles() {
    if (agreed_.handles.empty()) {
      print("Report didn't contain any handles to clean up.\n");
      return;
    }
    print(fmt::format("Deleting {} handles...\nKey: '.' = Deleted OK; 'x' = skip, handle missing/changed.\n",
                      agreed_.handles.size()));
    int deleted = 0, skipped = 0, errors = 0;
    for (const auto& [handle, text] : agreed_.handles) {
      store::Revision revision = 0;
      std::from_chars(text.data(), text.data() + text.size(), revision);
      const auto removed = ipam_.remove_handle(handle, revision);
      if (!removed) {
        print("\nDeleting handle " + handle + " failed: " + removed.error().text() + ".\n");
        ++errors;
        continue;
      }
      print(*removed ? "." : "x");
      ++(*removed ? deleted : skipped);
    }
    print(fmt::format("\nReleased {} handles; {} skipped; {} errors.\n", deleted, skipped, errors));
  }

  Session& session_;
  const Arguments& arguments_;
  Client& client_;
  ipam::Ipam ipam_;
  Report agreed_;
};

}  // namespace

int run_ipam_release(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  if (arguments.has("from-report")) {
    const auto done = ReleaseFromReports(session, arguments, **client).run();
    return done ? 0 : session.fail(done.error().text());
  }
  if (!arguments.has("ip")) return 0;
  const std::string text = arguments.value("ip");
  const auto address = base::parse_address(text);
  if (!address) return session.fail("Error executing command: invalid IP address specified: " + text);
  ipam::Ipam ipam((*client)->store(), (*client)->ipam_sources(), {.outage = {}});
  const ipam::Release release{.address = *address};
  const auto outcome = ipam.release(std::span(&release, 1));
  if (!outcome) return session.fail("error: " + outcome.error().text());
  if (outcome->error) return session.fail("error: " + outcome->error->text());
  if (!outcome->unallocated.empty()) return session.fail("IP address " + text + " is not assigned");
  session.environment().print("Successfully released IP address " + text + "\n");
  return 0;
}

}  // namespace cli
