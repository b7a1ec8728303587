#include "agent/process_metrics.h"

#include <unistd.h>
#include <charconv>
#include <optional>
#include <sstream>
#include <vector>

#include <fmt/core.h>

#include "base/strings.h"
#include "os/files.h"

namespace agent {
namespace {

void metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
            std::optional<double> value) {
  if (value) out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n{0} {3}\n", name, type, help, *value);
}

// Words after the program's name, which may hold spaces and brackets. The first is field 3 of proc(5).
std::vector<std::string> stat_words(const std::string& stat) {
  std::vector<std::string> words;
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return words;
  std::istringstream in(stat.substr(name_end + 1));
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The soft limit in a line such as "Max open files            1024      4096      files".
std::optional<double> soft_limit(const std::string& limits, std::string_view name) {
  for (const std::string_view line : base::split(limits, '\n')) {
    if (!line.starts_with(name)) continue;
    const std::string_view rest = base::trim(line.substr(name.size()));
    return rest.starts_with("unlimited") ? std::optional<double>(-1) : number(rest);
  }
  return std::nullopt;
}

std::optional<double> boot_time(const std::string& stat) {
  const auto at = stat.find("\nbtime ");
  return at == std::string::npos ? std::nullopt : number(std::string_view(stat).substr(at + 7));
}

}  // namespace

std::string format_process_metrics(const ProcFiles& files) {
  const std::vector<std::string> words = stat_words(files.stat);
  const auto field = [&](std::size_t n) {
    return n - 3 < words.size() ? number(words[n - 3]) : std::nullopt;
  };  // as in proc(5)
  const auto scaled = [](std::optional<double> value, double by) {
    return value ? std::optional(*value * by) : std::nullopt;
  };
  const double tick = 1.0 / static_cast<double>(files.ticks_per_second);
  std::optional<double> cpu;
  if (field(14) && field(15)) cpu = (*field(14) + *field(15)) * tick;
  std::optional<double> start;
  if (field(22) && boot_time(files.boot_stat)) start = *boot_time(files.boot_stat) + *field(22) * tick;

  std::string out;
  metric(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent, in seconds.", cpu);
  metric(out, "process_max_fds", "gauge", "Limit of open file descriptors.",
         soft_limit(files.limits, "Max open files"));
  metric(out, "process_open_fds", "gauge", "Open file descriptors.", static_cast<double>(files.open_descriptors));
  metric(out, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.",
         scaled(field(24), static_cast<double>(files.page_size)));
  metric(out, "process_start_time_seconds", "gauge", "Start of the process, in seconds since 1970.", start);
  metric(out, "process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.", field(23));
  metric(out, "process_virtual_memory_max_bytes", "gauge", "Limit of virtual memory, in bytes; -1 when there is none.",
         soft_limit(files.limits, "Max address space"));
  return out;
}

std::string process_metrics() {
  const auto descriptors = os::list_directory("/proc/self/fd");
  return format_process_metrics({os::read_file("/proc/self/stat").value_or(""),
                                 os::read_file("/proc/self/limits").value_or(""),
                                 os::read_file("/proc/stat").value_or(""),
                                 descriptors ? descriptors->size() - 1 : 0,  // less the one that read the directory
                                 ::sysconf(_SC_CLK_TCK), ::sysconf(_SC_PAGESIZE)});
}

}  // namespace agent
