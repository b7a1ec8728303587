#include "agent/status_files.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "os/files.h"

namespace agent {
namespace {

// As Go's url.PathEscape: what a path segment may hold stays.
std::string escaped(std::string_view text) {
  constexpr std::string_view kKept = "-_.~$&+=:@";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || kKept.find(c) != kKept.npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

std::string status_file_name(const model::WorkloadInterface& interface) {
  return escaped(interface.orchestrator) + " " + escaped(interface.workload) + " " + escaped(interface.endpoint);
}

std::string status_file_content(const model::WorkloadInterface& interface) {
  boost::json::array v4;
  boost::json::array v6;
  for (const base::IpAddress& address : interface.addresses) {
    (address.is_v4() ? v4 : v6).emplace_back(base::to_string(base::Prefix::host(address)));
  }
  boost::json::object out;
  out["ifaceName"] = interface.name;
  if (interface.mac) out["mac"] = base::to_string(*interface.mac);
  out["ipv4Nets"] = std::move(v4);
  out["ipv6Nets"] = std::move(v6);
  return boost::json::serialize(out);
}

StatusFiles::StatusFiles(base::Loop& loop, base::Log& log, std::string directory)
    : loop_(loop), log_(log), directory_(std::move(directory)) {}

StatusFiles::~StatusFiles() { loop_.cancel(timer_); }

void StatusFiles::set(const std::string& name, std::string content) {
  std::string& known = wanted_[name];
  if (known == content) return;
  known = std::move(content);
  dirty_.insert(name);
  if (failures_ == 0) schedule({});
}

void StatusFiles::clear(const std::string& name) {
  if (wanted_.erase(name) == 0) return;
  dirty_.insert(name);
  if (failures_ == 0) schedule({});
}

void StatusFiles::in_sync() {
  in_sync_ = true;
  next_look_ = loop_.now();
  schedule({});
}

void StatusFiles::schedule(base::Duration delay) {
  if (!in_sync_) return;
  loop_.cancel(timer_);
  timer_ = loop_.after(delay, [this] { work(); });
}

void StatusFiles::work() {
  base::Result<> done;
  if (loop_.now() >= next_look_) done = look();
  while (done && !dirty_.empty()) {
    const std::string name = *dirty_.begin();
    done = bring_up_to_date(name);
    if (done) dirty_.erase(name);
  }
  if (done) {
    failures_ = 0;
    return schedule(std::max(next_look_ - loop_.now(), base::Duration{}));
  }
  if (failures_++ == 0) {
    log_.warning("status.files",
                 "Status files cannot be written; will retry. Set EndpointStatusPathPrefix to none if "
                 "nobody reads them",
                 {{"directory", directory_}, {"error", done.error().text()}});
  }
  base::Duration wait = kFirstRetry;
  for (int i = 1; i < failures_ && wait < kLastRetry; ++i) wait *= 10;
  schedule(std::min(wait, kLastRetry));
}

// Marks what is missing or not wanted.
base::Result<> StatusFiles::look() {
  if (auto made = os::make_directories(directory_); !made) return made;
  auto listed = os::list_directory(directory_);
  if (!listed) return base::fail(std::move(listed).error());
  std::set<std::string> present(listed->begin(), listed->end());
  for (const auto& [name, content] : wanted_) {
    if (present.erase(name) == 0) dirty_.insert(name);
  }
  dirty_.insert(present.begin(), present.end());
  next_look_ = loop_.now() + kCheckInterval;
  return {};
}

base::Result<> StatusFiles::bring_up_to_date(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  const auto wanted = wanted_.find(name);
  if (wanted == wanted_.end()) return os::remove_file(path);
  if (os::read_file(path).value_or("") == wanted->second) return {};
  return os::write_file_atomic(path, wanted->second);
}

}  // namespace agent
