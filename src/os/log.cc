#include "os/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <regex>
#include <vector>

#define SPDLOG_FMT_EXTERNAL
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>

#include "base/fd.h"
#include "os/files.h"
#include "os/log_format.h"

namespace os {
namespace {

using base::Fd;
using base::LogLevel;

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kFatal: return spdlog::level::critical;
  }
  return spdlog::level::off;
}

int syslog_priority(spdlog::level::level_enum level) {
  if (level >= spdlog::level::critical) return LOG_CRIT;
  if (level == spdlog::level::err) return LOG_ERR;
  if (level == spdlog::level::warn) return LOG_WARNING;
  return level == spdlog::level::info ? LOG_INFO : LOG_DEBUG;
}

// Writes whole lines with write(2): no buffer that could be lost, and a line is in the file once it has left the queue.
class LineSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  LineSink(base::Counter dropped, base::Counter errors) : dropped_(std::move(dropped)), errors_(std::move(errors)) {}
  // Set once, before the first line.
  void watch_losses(const spdlog::details::thread_pool* pool) {
    pool_ = const_cast<spdlog::details::thread_pool*>(pool);
  }

 protected:
  virtual bool write_line(std::string_view text, spdlog::level::level_enum level) = 0;

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::size_t lost = pool_ != nullptr ? pool_->overrun_counter() : 0;
    if (lost != reported_) {
      dropped_.add(lost - reported_);
      put("percale/log.dropped: " + std::to_string(lost - reported_) + " log lines were dropped before this one",
          spdlog::level::warn);
      reported_ = lost;
    }
    put({message.payload.data(), message.payload.size()}, message.level);
  }
  void put(std::string_view text, spdlog::level::level_enum level) {
    if (!write_line(text, level)) errors_.add();
  }
  void flush_() override {}

  base::Counter dropped_;
  base::Counter errors_;
  spdlog::details::thread_pool* pool_ = nullptr;
  std::size_t reported_ = 0;
};

bool write_to(int fd, std::string_view text) {
  std::string line(text);
  line.push_back('\n');
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t wrote = ::write(fd, rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

class ScreenSink final : public LineSink {
 public:
  using LineSink::LineSink;

 private:
  bool write_line(std::string_view text, spdlog::level::level_enum) override { return write_to(STDOUT_FILENO, text); }
};

Fd open_log_file(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) (void)make_directories(path.substr(0, slash), kDirectoryMode);
  return Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kFileMode));
}

class FileSink final : public LineSink {
 public:
  FileSink(std::string path, Fd fd, base::Counter dropped, base::Counter errors)
      : LineSink(std::move(dropped), std::move(errors)), path_(std::move(path)), fd_(std::move(fd)) {}

 private:
  bool write_line(std::string_view text, spdlog::level::level_enum) override {
    if (moved()) {
      if (Fd fresh = open_log_file(path_)) fd_ = std::move(fresh);
    }
    return write_to(fd_.get(), text);
  }
  bool moved() const {
    struct stat by_name{};
    struct stat open_one{};
    if (::fstat(fd_.get(), &open_one) < 0 || ::stat(path_.c_str(), &by_name) < 0) return true;
    return by_name.st_ino != open_one.st_ino || by_name.st_dev != open_one.st_dev;
  }

  std::string path_;
  Fd fd_;
};

class SyslogSink final : public LineSink {
 public:
  SyslogSink(std::string tag, base::Counter dropped, base::Counter errors)
      : LineSink(std::move(dropped), std::move(errors)), tag_(std::move(tag)) {
    ::openlog(tag_.c_str(), 0, LOG_USER);
  }
  ~SyslogSink() override { ::closelog(); }
  SyslogSink(const SyslogSink&) = delete;
  SyslogSink& operator=(const SyslogSink&) = delete;

 private:
  bool write_line(std::string_view text, spdlog::level::level_enum level) override {
    ::syslog(LOG_USER | syslog_priority(level), "%.*s", static_cast<int>(text.size()), text.data());
    return true;
  }

  std::string tag_;  // openlog keeps the pointer
};

enum class Style { kText, kJson, kSyslog };

struct Output {
  LogLevel lowest;
  Style style;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

// A writer must never be chosen to handle a signal.
void prepare_writer_thread() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::pthread_setname_np(::pthread_self(), "log");
}

Output make_output(LogLevel lowest, Style style, const std::shared_ptr<LineSink>& sink, bool block) {
  auto pool = std::make_shared<spdlog::details::thread_pool>(kLogQueueLines, 1, prepare_writer_thread);
  sink->watch_losses(pool.get());
  const auto policy = block ? spdlog::async_overflow_policy::block : spdlog::async_overflow_policy::overrun_oldest;
  auto logger = std::make_shared<spdlog::async_logger>("", sink, pool, policy);
  logger->set_level(spdlog::level::trace);
  return {lowest, style, std::move(pool), std::move(logger)};
}

}  // namespace

struct Log::Outputs {
  std::vector<Output> all;
  std::optional<std::regex> debug_filter;
  LogLevel lowest = LogLevel::kFatal;
};

Log::Log(std::unique_ptr<Outputs> outputs) : outputs_(std::move(outputs)) {}
Log::~Log() = default;

base::Result<std::unique_ptr<Log>> Log::open(const LogSettings& settings, base::MetricRegistry* metrics) {
  base::Counter dropped;
  base::Counter errors;
  if (metrics != nullptr) {
    dropped = metrics->counter("felix_logs_dropped", "Log lines lost because a destination was too slow.");
    errors = metrics->counter("felix_log_errors", "Log lines that could not be written.");
  }
  auto outputs = std::make_unique<Outputs>();
  const Style style = settings.json ? Style::kJson : Style::kText;
  const bool block = settings.block_when_full;
  if (!settings.debug_filter.empty()) {
    try {
      outputs->debug_filter.emplace(settings.debug_filter);
    } catch (const std::regex_error& error) {
      return base::fail(base::Error::invalid(std::string("debug filter: ") + error.what(), settings.debug_filter));
    }
  }
  if (settings.screen) {
    outputs->all.push_back(make_output(*settings.screen, style, std::make_shared<ScreenSink>(dropped, errors), block));
  }
  if (settings.file && !settings.file_path.empty()) {
    Fd fd = open_log_file(settings.file_path);
    if (!fd) return base::fail(base::Error::system(errno, "open log file " + settings.file_path));
    auto sink = std::make_shared<FileSink>(settings.file_path, std::move(fd), dropped, errors);
    outputs->all.push_back(make_output(*settings.file, style, sink, block));
  }
  if (settings.syslog) {
    auto sink = std::make_shared<SyslogSink>(settings.syslog_tag, dropped, errors);
    outputs->all.push_back(make_output(std::max(*settings.syslog, LogLevel::kDebug), Style::kSyslog, sink, block));
  }
  for (const Output& output : outputs->all) outputs->lowest = std::min(outputs->lowest, output.lowest);
  return std::unique_ptr<Log>(new Log(std::move(outputs)));
}

bool Log::enabled(LogLevel level) const { return level >= outputs_->lowest && !outputs_->all.empty(); }

void Log::write(LogLevel level, std::string_view event, std::string_view text, base::LogFields fields) {
  if (level == LogLevel::kDebug && outputs_->debug_filter &&
      !std::regex_search(event.begin(), event.end(), *outputs_->debug_filter)) {
    return;
  }
  const LogLine line{std::chrono::system_clock::now(), level, ::getpid(), event, text, fields};
  for (const Output& output : outputs_->all) {
    if (level < output.lowest) continue;
    std::string formatted;
    switch (output.style) {
      case Style::kText: formatted = format_text(line); break;
      case Style::kJson: formatted = format_json(line); break;
      case Style::kSyslog: formatted = format_syslog(line); break;
    }
    output.logger->log(spdlog_level(level), formatted);
  }
}

}  // namespace os
