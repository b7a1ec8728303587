#include "neutron/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "neutron/translate/names.h"

namespace neutron {
namespace {

// A hook that waits longer keeps an API worker; upstream's 60 s are cut to this.
constexpr std::chrono::seconds kLongestRequest{10};

std::optional<std::int64_t> whole_number(std::string_view text, int base = 10) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Reader {
 public:
  explicit Reader(const OsloFile& file) : file_(file) {}

  std::string text(const std::string& section, const std::string& name, std::string otherwise = {}) const {
    return file_.get(section, name, std::move(otherwise));
  }
  std::int64_t number(const std::string& section, const std::string& name, std::int64_t otherwise,
                      std::int64_t lowest) {
    const std::string value = file_.get(section, name);
    if (value.empty()) return otherwise;
    const auto parsed = whole_number(value);
    if (parsed && *parsed >= lowest) return *parsed;
    problem(fmt::format("[{}] {} = '{}' is no number from {} up", section, name, value, lowest));
    return otherwise;
  }
  void problem(std::string text) { problems_ += (problems_.empty() ? "" : "; ") + std::move(text); }
  const std::string& problems() const { return problems_; }

 private:
  const OsloFile& file_;
  std::string problems_;
};

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (const std::string_view word : base::split(text, ',')) {
    if (const auto trimmed = base::trim(word); !trimmed.empty()) result.emplace_back(trimmed);
  }
  return result;
}

std::string with_brackets(const std::string& host) {
  return host.find(':') != std::string::npos && !host.starts_with('[') ? "[" + host + "]" : host;
}

void read_etcd(Reader& reader, Options& options) {
  store::ConnectionSettings& etcd = options.etcd;
  etcd.key_file = reader.text("calico", "etcd_key_file");
  etcd.cert_file = reader.text("calico", "etcd_cert_file");
  etcd.ca_file = reader.text("calico", "etcd_ca_cert_file");
  etcd.username = reader.text("calico", "etcd_username");
  etcd.password = reader.text("calico", "etcd_password");
  etcd.endpoints = words(reader.text("percale", "etcd_endpoints"));
  if (etcd.endpoints.empty()) {
    const bool tls = !etcd.key_file.empty() || !etcd.cert_file.empty() || !etcd.ca_file.empty();
    etcd.endpoints = {fmt::format("{}://{}:{}", tls ? "https" : "http",
                                  with_brackets(reader.text("calico", "etcd_host", "127.0.0.1")),
                                  reader.number("calico", "etcd_port", 2379, 1))};
  }
  options.etcd_timeout =
      std::min(kLongestRequest, std::chrono::seconds(reader.number("calico", "etcd_timeout", 60, 1)));
}

base::LogLevel read_log_level(Reader& reader) {
  const std::string level = base::to_lower(reader.text("percale", "log_level", "info"));
  if (level == "debug") return base::LogLevel::kDebug;
  if (level == "info") return base::LogLevel::kInfo;
  if (level == "warning") return base::LogLevel::kWarning;
  if (level == "error") return base::LogLevel::kError;
  reader.problem("[percale] log_level is none of debug, info, warning, error");
  return base::LogLevel::kInfo;
}

}  // namespace

base::Result<> OsloFile::add(std::string_view text, const std::string& path) {
  std::string section = "DEFAULT";
  std::string* value = nullptr;  // that a line beginning with a blank continues
  int number = 0;
  for (const std::string_view line : base::split(text, '\n')) {
    ++number;
    const std::string_view content = base::trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') {
      if (content.empty()) value = nullptr;
      continue;
    }
    if ((line.front() == ' ' || line.front() == '\t') && value != nullptr) {
      *value += std::string(",") + std::string(content);
      continue;
    }
    if (content.front() == '[') {
      if (content.back() != ']') return base::fail(base::Error::invalid(fmt::format("{}:{}: no ']'", path, number)));
      section = base::trim(content.substr(1, content.size() - 2));
      value = nullptr;
      continue;
    }
    const auto separator = content.find_first_of("=:");
    if (separator == std::string_view::npos) {
      return base::fail(base::Error::invalid(fmt::format("{}:{}: neither a section nor 'name = value'", path, number)));
    }
    std::string_view given = base::trim(content.substr(separator + 1));
    if (given.size() >= 2 && (given.front() == '"' || given.front() == '\'') && given.back() == given.front()) {
      given = given.substr(1, given.size() - 2);
    }
    value = &(values_[{section, std::string(base::trim(content.substr(0, separator)))}] = std::string(given));
  }
  return {};
}

std::string OsloFile::get(const std::string& section, const std::string& name, std::string otherwise) const {
  const auto found = values_.find({section, name});
  return found == values_.end() || found->second.empty() ? std::move(otherwise) : found->second;
}

base::Result<Options> read_options(const OsloFile& file, const std::string& host_name) {
  Options options;
  Reader reader(file);
  read_etcd(reader, options);
  options.region = reader.text("calico", "openstack_region");
  if (const auto region = Region::make(options.region); !region) reader.problem(region.error().text());
  options.elector_name = reader.text("calico", "elector_name", host_name);
  options.resync_interval = std::chrono::seconds(reader.number("calico", "resync_interval_secs", 60, 0));
  options.resync_max_interval = std::chrono::seconds(reader.number("calico", "resync_max_interval_secs", 3600, 1));
  options.compaction_period = std::chrono::minutes(reader.number("calico", "etcd_compaction_period_mins", 60, 0));
  options.compaction_min_revisions = reader.number("calico", "etcd_compaction_min_revisions", 1000, 0);
  options.max_ingress_connections = reader.number("calico", "max_ingress_connections_per_port", 0, 0);
  options.max_egress_connections = reader.number("calico", "max_egress_connections_per_port", 0, 0);
  options.socket_users = words(reader.text("percale", "socket_users", "neutron"));
  const std::string mode = reader.text("percale", "socket_mode", "0660");
  const auto bits = whole_number(mode, 8);
  if (!bits || *bits < 0 || *bits > 0777) reader.problem("[percale] socket_mode is no octal mode up to 0777");
  options.socket_mode = static_cast<unsigned>(bits.value_or(0660));
  options.log_level = read_log_level(reader);
  if (!reader.problems().empty()) return base::fail(base::Error::invalid(reader.problems()));
  return options;
}

std::vector<unsigned> user_ids(const std::vector<std::string>& names, std::string_view passwd) {
  std::vector<unsigned> ids;
  for (const auto& name : names) {
    if (const auto id = whole_number(name)) {
      ids.push_back(static_cast<unsigned>(*id));
      continue;
    }
    for (const std::string_view line : base::split(passwd, '\n')) {
      const auto fields = base::split(line, ':');
      if (fields.size() < 3 || fields[0] != name) continue;
      if (const auto id = whole_number(fields[2])) ids.push_back(static_cast<unsigned>(*id));
    }
  }
  return ids;
}

}  // namespace neutron
