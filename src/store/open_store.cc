#include "store/open_store.h"

#include <fmt/core.h>
#include <unistd.h>

#include <utility>

#include "base/strings.h"
#include "os/files.h"
#include "store/directory_store.h"
#ifdef PERCALE_HAVE_ETCD
#include "store/etcd/etcd_store.h"
#endif

namespace store {
namespace {

constexpr std::string_view kDirectoryScheme = "dir:";

// Collects everything that is wrong, so that an operator repairs it in one go.
class Problems {
 public:
  void add(std::string text) { texts_.push_back(std::move(text)); }
  void add(const base::Error& error) { add(error.text()); }
  bool none() const { return texts_.empty(); }
  base::Error error() const { return base::Error::invalid("datastore settings: " + base::join(texts_, "; ")); }

 private:
  std::vector<std::string> texts_;
};

#ifdef PERCALE_HAVE_ETCD

std::string read_pem(const std::string& path, std::string_view what, Problems& problems) {
  if (path.empty()) return {};
  auto text = os::read_file(path);
  if (!text) {
    problems.add(fmt::format("cannot read the {} file: {}", what, text.error().text()));
    return {};
  }
  if (text->find("-----BEGIN ") == text->npos) problems.add(fmt::format("{} holds no {} in PEM format", path, what));
  return *std::move(text);
}

void read_tls(const ConnectionSettings& settings, EtcdSettings& etcd, Problems& problems) {
  const bool files = !settings.ca_file.empty() || !settings.cert_file.empty() || !settings.key_file.empty();
  const bool inline_pem = !settings.ca_pem.empty() || !settings.cert_pem.empty() || !settings.key_pem.empty();
  if (files && inline_pem) problems.add("TLS files and inline certificates cannot be used together");
  if (settings.cert_file.empty() != settings.key_file.empty()) {
    problems.add("a client certificate file and its key file are needed together");
  }
  if (inline_pem && (settings.cert_pem.empty() || settings.key_pem.empty())) {
    problems.add("inline TLS needs both a certificate and its key");
  }
  etcd.ca_pem = inline_pem ? settings.ca_pem : read_pem(settings.ca_file, "CA", problems);
  etcd.cert_pem = inline_pem ? settings.cert_pem : read_pem(settings.cert_file, "certificate", problems);
  etcd.key_pem = inline_pem ? settings.key_pem : read_pem(settings.key_file, "key", problems);
}

base::Result<std::unique_ptr<Store>> open_etcd(const ConnectionSettings& settings, base::Log& log,
                                               base::MetricRegistry& metrics) {
  Problems problems;
  EtcdSettings etcd;
  if (!settings.discovery_srv.empty()) {
    problems.add(settings.endpoints.empty()
                     ? "discovery of etcd by DNS SRV is not supported, list the endpoints instead"
                     : "etcd endpoints and DNS SRV discovery cannot be used together");
  } else if (settings.endpoints.empty()) {
    problems.add("no etcd endpoint is given (set ETCD_ENDPOINTS)");
  }
  for (const auto& url : settings.endpoints) {
    auto endpoint = parse_etcd_endpoint(url);
    endpoint ? etcd.endpoints.push_back(*std::move(endpoint)) : problems.add(endpoint.error());
  }
  read_tls(settings, etcd, problems);
  if (!settings.username.empty() && !settings.password.empty()) {
    etcd.username = settings.username;
    etcd.password = settings.password;
  }
  // Every process starts somewhere else, so that many agents do not all sit on the first member.
  etcd.first_endpoint = static_cast<std::size_t>(::getpid());
  if (!problems.none()) return base::fail(problems.error());
  return make_etcd_store(std::move(etcd), log, metrics);
}

#else

base::Result<std::unique_ptr<Store>> open_etcd(const ConnectionSettings&, base::Log&, base::MetricRegistry&) {
  return base::fail(base::Error::unsupported("this build has no etcd client"));
}

#endif

}  // namespace

base::Result<ConnectionSettings> parse_location(std::string_view location) {
  location = base::trim(location);
  ConnectionSettings settings;
  if (location.starts_with(kDirectoryScheme)) {
    settings.type = StoreType::kDirectory;
    settings.directory = std::string(location.substr(kDirectoryScheme.size()));
    if (settings.directory.empty()) return base::fail(base::Error::invalid("no directory after 'dir:'", location));
    return settings;
  }
  for (const auto url : base::split(location, ',')) {
    if (!base::trim(url).empty()) settings.endpoints.emplace_back(base::trim(url));
  }
  if (settings.endpoints.empty()) return base::fail(base::Error::invalid("no datastore is named", location));
  return settings;
}

base::Result<std::unique_ptr<Store>> open_store(const ConnectionSettings& settings, base::Log& log,
                                                base::MetricRegistry& metrics) {
  switch (settings.type) {
    case StoreType::kEtcd: return open_etcd(settings, log, metrics);
    case StoreType::kDirectory: return open_directory(settings.directory, log);
  }
  return base::fail(base::Error::internal("no such kind of datastore"));
}

}  // namespace store
