#include "config/datastore.h"

#include "base/strings.h"

namespace config {
namespace {

using base::Error;
using base::fail;
using base::Result;

constexpr std::string_view kDefaultEndpoint = "http://127.0.0.1:2379/";
constexpr std::string_view kDirectoryPrefix = "dir:";

// What is known so far: an empty text or list is "not said".
struct Draft {
  std::string type;
  DatastoreSettings settings;
};

std::string variable(const Environment& environment, std::string_view name) {
  for (const std::string& candidate : {"CALICO_" + std::string(name), std::string(name)}) {
    const auto found = environment.find(candidate);
    if (found != environment.end() && !found->second.empty()) return found->second;
  }
  return "";
}

Result<Draft> common_layer(const Environment& environment) {
  Draft draft;
  draft.type = variable(environment, "DATASTORE_TYPE");
  DatastoreSettings& s = draft.settings;
  const std::string endpoints = variable(environment, "ETCD_ENDPOINTS");
  auto parsed = parse_value(types::endpoint_list(), endpoints, Probe{});
  if (!parsed) return fail(std::move(parsed).error().in("ETCD_ENDPOINTS"));
  s.endpoints = std::get<Texts>(*std::move(parsed));
  s.discovery_domain = variable(environment, "ETCD_DISCOVERY_SRV");
  if (!s.endpoints.empty() && !s.discovery_domain.empty()) {
    return fail(Error::invalid("ETCD_ENDPOINTS and ETCD_DISCOVERY_SRV are both set; unset one of them"));
  }
  s.username = variable(environment, "ETCD_USERNAME");
  s.password = variable(environment, "ETCD_PASSWORD");
  s.key_file = variable(environment, "ETCD_KEY_FILE");
  s.certificate_file = variable(environment, "ETCD_CERT_FILE");
  s.ca_file = variable(environment, "ETCD_CA_CERT_FILE");
  return draft;
}

void felix_layer(const Resolved& resolved, Draft& draft) {
  using P = Parameter;
  if (resolved.set_locally(P::kDatastoreType)) draft.type = resolved.text(P::kDatastoreType);
  std::vector<std::string> endpoints;
  if (resolved.set_locally(P::kEtcdEndpoints)) endpoints = resolved.texts(P::kEtcdEndpoints);
  if (endpoints.empty() && (resolved.set_locally(P::kEtcdAddr) || resolved.set_locally(P::kEtcdScheme))) {
    endpoints.push_back(resolved.text(P::kEtcdScheme) + "://" + resolved.text(P::kEtcdAddr) + "/");
  }
  DatastoreSettings& s = draft.settings;
  if (!endpoints.empty()) {
    s.endpoints = std::move(endpoints);
    s.discovery_domain.clear();
    if (!draft.type.starts_with(kDirectoryPrefix)) draft.type = "etcdv3";
  }
  const auto override_with = [&](P parameter, std::string& target) {
    if (resolved.set_locally(parameter) && !resolved.text(parameter).empty()) target = resolved.text(parameter);
  };
  override_with(P::kEtcdKeyFile, s.key_file);
  override_with(P::kEtcdCertFile, s.certificate_file);
  override_with(P::kEtcdCaFile, s.ca_file);
}

Result<DatastoreSettings> finish(Draft draft) {
  DatastoreSettings& s = draft.settings;
  if (draft.type.starts_with(kDirectoryPrefix)) {
    DatastoreSettings directory;
    directory.directory = draft.type.substr(kDirectoryPrefix.size());
    if (directory.directory.empty())
      return fail(Error::invalid("datastore type has no directory after dir:", draft.type));
    return directory;
  }
  if (!draft.type.empty() && !base::equal_ignoring_case(draft.type, "etcdv3")) {
    return fail(
        Error(base::ErrorKind::kUnsupported,
              "datastore type '" + draft.type + "' is not supported; use etcdv3, or dir:PATH for resource files"));
  }
  if (s.endpoints.empty() && s.discovery_domain.empty()) s.endpoints.emplace_back(kDefaultEndpoint);
  if (s.username.empty() || s.password.empty()) {  // only together do they mean anything
    s.username.clear();
    s.password.clear();
  }
  if (s.certificate_file.empty() != s.key_file.empty()) {
    return fail(
        Error::invalid("a client certificate needs both its file and its key file; only one of them is configured"));
  }
  return s;
}

}  // namespace

Result<DatastoreSettings> datastore_settings(const Environment& environment, const Resolved& resolved) {
  auto draft = common_layer(environment);
  if (!draft) return fail(std::move(draft).error());
  felix_layer(resolved, *draft);
  return finish(*std::move(draft));
}

}  // namespace config
