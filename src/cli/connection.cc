#include "cli/connection.h"

#include <array>
#include <optional>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/strings.h"
#include "model/resource.h"
#include "model/resource_text.h"
#include "os/files.h"

namespace cli {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;
using store::ConnectionSettings;

// Settings as they are written, before they are understood.
struct RawSettings {
  std::string type, endpoints, srv, username, password;
  std::string key_file, cert_file, ca_file, key_pem, cert_pem, ca_pem;
};

struct Source {
  std::string_view member;            // in the file
  std::string_view variable;          // in the environment, empty if there is none
  std::string RawSettings::* target;  // null: accepted and ignored
};

constexpr auto kSources = std::to_array<Source>({
    {"datastoreType", "DATASTORE_TYPE", &RawSettings::type},
    {"etcdEndpoints", "ETCD_ENDPOINTS", &RawSettings::endpoints},
    {"etcdDiscoverySrv", "ETCD_DISCOVERY_SRV", &RawSettings::srv},
    {"etcdUsername", "ETCD_USERNAME", &RawSettings::username},
    {"etcdPassword", "ETCD_PASSWORD", &RawSettings::password},
    {"etcdKeyFile", "ETCD_KEY_FILE", &RawSettings::key_file},
    {"etcdCertFile", "ETCD_CERT_FILE", &RawSettings::cert_file},
    {"etcdCACertFile", "ETCD_CA_CERT_FILE", &RawSettings::ca_file},
    {"etcdKey", "", &RawSettings::key_pem},
    {"etcdCert", "", &RawSettings::cert_pem},
    {"etcdCACert", "", &RawSettings::ca_pem},
    {"kubeconfig", "", nullptr},
    {"k8sAPIEndpoint", "", nullptr},
    {"k8sKeyFile", "", nullptr},
    {"k8sCertFile", "", nullptr},
    {"k8sCAFile", "", nullptr},
    {"k8sAPIToken", "", nullptr},
    {"k8sInsecureSkipTLSVerify", "", nullptr},
    {"k8sDisableNodePoll", "", nullptr},
    {"usePodCIDR", "", nullptr},
    {"kubeconfigInline", "", nullptr},
    {"k8sClientQPS", "", nullptr},
    {"k8sClientBurst", "", nullptr},
    {"k8sCurrentContext", "", nullptr},
    {"calicoAPIGroup", "", nullptr},
});

Error invalid(std::string text) { return Error(ErrorKind::kInvalid, std::move(text)); }

base::Result<ConnectionSettings> understand_tls(const RawSettings& raw, ConnectionSettings settings) {
  const bool any_file = !raw.key_file.empty() || !raw.cert_file.empty() || !raw.ca_file.empty();
  const bool any_inline = !raw.key_pem.empty() || !raw.cert_pem.empty() || !raw.ca_pem.empty();
  if (any_file && any_inline)
    return base::fail(invalid("Cannot mix inline certificate-key and certificate / key files"));
  if (any_inline && (raw.key_pem.empty() || raw.cert_pem.empty())) {
    return base::fail(invalid("could not initialize etcdv3 client: Certificate and Key must both be present inline."));
  }
  settings.key_file = raw.key_file;
  settings.cert_file = raw.cert_file;
  settings.ca_file = raw.ca_file;
  settings.key_pem = raw.key_pem;
  settings.cert_pem = raw.cert_pem;
  settings.ca_pem = raw.ca_pem;
  return settings;
}

base::Result<ConnectionSettings> understand(const RawSettings& raw) {
  if (raw.endpoints.starts_with("dir:")) return store::parse_location(raw.endpoints);
  if (raw.type == "dir")
    return store::parse_location("dir:" + (raw.endpoints.empty() ? std::string(kDefaultDirectory) : raw.endpoints));
  if (raw.type.starts_with("dir:")) return store::parse_location(raw.type);
  if (!raw.type.empty() && raw.type != "etcdv3") {
    return base::fail(invalid(
        "invalid datastore type '" + raw.type +
        "': this program works on etcd (DATASTORE_TYPE=etcdv3) or on a directory of resources (DATASTORE_TYPE=dir)"));
  }
  if (!raw.endpoints.empty() && !raw.srv.empty()) {
    return base::fail(invalid(
        "multiple discovery or bootstrap options specified, use either \"etcdEndpoints\" or \"etcdDiscoverySrv\""));
  }
  if (raw.endpoints.empty() && raw.srv.empty()) {
    return base::fail(invalid("no etcd endpoints specified (set ETCD_ENDPOINTS, or etcdEndpoints in " +
                              std::string(kDefaultConfigPath) + ", or use --datastore dir:PATH)"));
  }
  auto settings = raw.endpoints.empty() ? base::Result<ConnectionSettings>(ConnectionSettings{})
                                        : store::parse_location(raw.endpoints);
  if (!settings) return settings;
  settings->discovery_srv = raw.srv;
  if (!raw.username.empty() && !raw.password.empty()) {
    settings->username = raw.username;
    settings->password = raw.password;
  }
  return understand_tls(raw, *std::move(settings));
}

base::Result<RawSettings> raw_of_file(std::string_view text, const std::string& path) {
  const auto fail_with = [&](const std::string& cause) {
    return base::fail(invalid("syntax error in " + path + ": " + cause));
  };
  const auto document = model::parse_document(text);
  if (!document) return fail_with("failed to parse config as YAML/JSON: " + document.error().text());
  if (!document->is_object()) return fail_with("failed to parse config as YAML/JSON: the file is not a mapping");
  const json::object& object = document->get_object();
  const std::string_view version = model::text_of(object, "apiVersion");
  if (version != model::kApiVersion)
    return fail_with("invalid config file: unknown APIVersion '" + std::string(version) + "'");
  const std::string_view kind = model::text_of(object, "kind");
  if (kind != "CalicoAPIConfig")
    return fail_with("invalid config file: expected kind 'CalicoAPIConfig', got '" + std::string(kind) + "'");
  RawSettings raw;
  const json::value* spec = object.if_contains("spec");
  if (spec == nullptr || spec->is_null()) return raw;
  if (!spec->is_object()) return fail_with("failed to parse config as YAML/JSON: spec is not a mapping");
  for (const json::key_value_pair& member : spec->get_object()) {
    const std::string_view name(member.key().data(), member.key().size());
    const auto source =
        std::ranges::find_if(kSources, [&](const Source& s) { return base::equal_ignoring_case(s.member, name); });
    if (source == kSources.end())
      return fail_with("failed to parse config as YAML/JSON: unknown field \"" + std::string(name) + "\"");
    if (source->target == nullptr || member.value().is_null()) continue;
    raw.*source->target = member.value().is_string() ? std::string(member.value().get_string().c_str())
                                                     : model::to_go_json(member.value());
  }
  return raw;
}

RawSettings raw_of_environment(const Environment& environment) {
  RawSettings raw;
  for (const Source& source : kSources) {
    if (source.variable.empty()) continue;
    const std::string name(source.variable);
    auto value = environment.variable("CALICO_" + name);  // wins even when it is empty
    if (!value) value = environment.variable(name);
    if (value) raw.*source.target = *value;
  }
  return raw;
}

bool says_where(const RawSettings& raw) { return !raw.endpoints.empty() || !raw.srv.empty() || !raw.type.empty(); }

}  // namespace

base::Result<ConnectionSettings> parse_config(std::string_view text, const std::string& path) {
  const auto raw = raw_of_file(text, path);
  return raw ? understand(*raw) : base::Result<ConnectionSettings>(base::fail(raw.error()));
}

base::Result<ConnectionChoice> choose_connection(std::string_view location, std::string_view config_path,
                                                 const Environment& environment) {
  const auto chosen = [](base::Result<ConnectionSettings> settings, std::string source,
                         std::string warning = {}) -> base::Result<ConnectionChoice> {
    if (!settings) return base::fail(settings.error());
    return ConnectionChoice{*std::move(settings), std::move(source), std::move(warning)};
  };
  if (!location.empty()) return chosen(store::parse_location(location), "--datastore");

  const std::string path(config_path.empty() ? kDefaultConfigPath : config_path);
  const RawSettings variables = raw_of_environment(environment);
  if (os::file_exists(path)) {
    const auto text = os::read_file(path);
    if (!text) return base::fail(invalid("Error reading config file: " + path));
    const bool both = says_where(variables);
    return chosen(parse_config(*text, path), "file " + path,
                  both ? "the environment names a datastore, too, but " + path + " exists and wins" : "");
  }
  if (path != kDefaultConfigPath) return base::fail(invalid("Error reading config file: " + path));
  if (!says_where(variables) && os::list_directory(std::string(kDefaultDirectory))) {
    return chosen(store::parse_location("dir:" + std::string(kDefaultDirectory)),
                  "directory " + std::string(kDefaultDirectory));
  }
  return chosen(understand(variables), "environment");
}

}  // namespace cli
