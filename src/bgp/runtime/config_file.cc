#include "bgp/runtime/config_file.h"

#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

#include <fmt/core.h>

#include "base/strings.h"
#include "os/files.h"

namespace bgp {
namespace {

using base::Error;
using base::fail;
using base::Result;

constexpr mode_t kConfigMode = 0640;

// Reads /etc/group itself: getgrnam() would need shared libraries of the very glibc that a static program was linked
// with.
std::optional<gid_t> find_group(std::string_view name) {
  const auto text = os::read_file("/etc/group");
  if (!text) return std::nullopt;
  for (const std::string_view line : base::split(*text, '\n')) {
    const auto fields = base::split(line, ':');  // name:password:gid:members
    gid_t gid = 0;
    if (fields.size() < 3 || fields[0] != name) continue;
    if (std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), gid).ec == std::errc()) return gid;
  }
  return std::nullopt;
}

Result<> give_to_group(const std::string& path, const std::string& group) {
  const auto gid = group.empty() || ::geteuid() != 0 ? std::nullopt : find_group(group);
  if (gid && ::chown(path.c_str(), 0, *gid) != 0) return fail(Error::system(errno, fmt::format("chown {}", path)));
  return {};
}

Result<> rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return fail(Error::system(errno, fmt::format("rename {}", to)));
  return {};
}

std::string kept_path(const std::string& path) { return path + ".last-good"; }

}  // namespace

bool ConfigFile::exists() const { return os::file_exists(path_); }

bool ConfigFile::holds(const std::string& text) const {
  const auto live = os::read_file(path_);
  return live && *live == text;
}

Result<> ConfigFile::stage(const std::string& text) const {
  const std::string path = staged_path();
  if (auto made = os::make_directories(path.substr(0, path.rfind('/')), 0750); !made) return made;
  if (auto written = os::write_file_atomic(path, text, kConfigMode); !written) return written;
  return give_to_group(path, group_);
}

void ConfigFile::drop_staged() const { (void)os::remove_file(staged_path()); }

Result<> ConfigFile::install(bool& kept) const {
  kept = true;
  if (exists()) {
    const std::string keep = kept_path(path_);
    ::unlink(keep.c_str());
    kept = ::link(path_.c_str(), keep.c_str()) == 0;
  }
  return rename_file(staged_path(), path_);
}

Result<> ConfigFile::roll_back() const {
  if (!os::file_exists(kept_path(path_))) return {};
  return rename_file(kept_path(path_), path_);
}

}  // namespace bgp
