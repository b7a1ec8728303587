#include "os/log.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/files.h"
#include "os/log_format.h"
#include "testing/temp_directory.h"

namespace os {
namespace {

using base::LogLevel;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

const base::LogFields kFields = {{"zone", "a \"b\""}, {"count", 12}, {"on", true}};
// 2026-01-02T03:04:05.678Z
constexpr base::WallTime kTime{std::chrono::milliseconds(1767323045678)};

TEST(LogFormat, TextJsonAndSyslog) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const LogLine line{kTime, LogLevel::kInfo, 1234, "store.lost", "Watch\nended", kFields};
  EXPECT_EQ(
      format_text(line),
      "2026-01-02 03:04:05.678 [INFO][1234] percale/store.lost: Watch\\nended count=12 on=true zone=\"a \\\"b\\\"\"");
  EXPECT_EQ(format_syslog(line), "INFO percale/store.lost: Watch\\nended count=12 on=true zone=\"a \\\"b\\\"\"");
  EXPECT_EQ(
      format_json(line),
      R"({"time":"2026-01-02T03:04:05.678Z","level":"INFO","pid":1234,"event":"store.lost","message":"Watch\nended",)"
      R"("count":12,"on":true,"zone":"a \"b\""})");
}

TEST(Log, FileKeepsItsSeverityAndFollowsRotation) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("deep/felix.log");
  {
    auto log = Log::open({.file = LogLevel::kInfo, .file_path = path});
    ASSERT_TRUE(log) << log.error().text();
    EXPECT_FALSE((*log)->enabled(LogLevel::kDebug));
    (*log)->info("a.first", "before");
    (*log)->debug("a.hidden", "hidden");
  }
  const std::string first = read_file(path).value_or("");
  EXPECT_THAT(first, HasSubstr("percale/a.first: before\n"));
  EXPECT_THAT(first, Not(HasSubstr("hidden")));
  {
    auto log = Log::open({.file = LogLevel::kInfo, .file_path = path});
    ASSERT_TRUE(log);
    ASSERT_EQ(std::rename(path.c_str(), (path + ".1").c_str()), 0);
    (*log)->warning("a.second", "after");
  }
  EXPECT_THAT(read_file(path).value_or(""), MatchesRegex(".* \\[WARNING\\]\\[[0-9]+\\] percale/a.second: after\n"));
}

TEST(Log, AFileThatCannotBeMadeIsAnError) {
  const ::testing::TempDirectory directory;
  directory.write("plain", "");
  auto log = Log::open({.file = LogLevel::kInfo, .file_path = directory.file("plain/x.log")});
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().text(), HasSubstr("plain/x.log"));
}

TEST(Log, DebugFilterAndJson) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("log");
  {
    auto log = Log::open({.file = LogLevel::kDebug, .file_path = path, .debug_filter = "^calc\\.", .json = true});
    ASSERT_TRUE(log);
    (*log)->debug("calc.step", "kept");
    (*log)->debug("store.step", "left out");
    (*log)->info("store.done", "kept too");
  }
  const std::string text = read_file(path).value_or("");
  EXPECT_THAT(text, HasSubstr("\"message\":\"kept\""));
  EXPECT_THAT(text, HasSubstr("kept too"));
  EXPECT_THAT(text, Not(HasSubstr("left out")));
  EXPECT_FALSE(Log::open({.debug_filter = "("}));
}

TEST(Log, NoDestinationMeansNothingIsEnabled) {
  auto log = Log::open({});
  ASSERT_TRUE(log);
  EXPECT_FALSE((*log)->enabled(LogLevel::kFatal));
}

TEST(Log, DroppedLinesAreCountedAndNoted) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("log");
  base::MetricRegistry metrics;
  constexpr int kLines = 200'000;  // far more than one writer can keep up with
  {
    auto log = Log::open({.file = LogLevel::kInfo, .file_path = path}, &metrics);
    ASSERT_TRUE(log);
    for (int i = 0; i < kLines; ++i) (*log)->info("flood.line", "x");
  }
  const std::string text = read_file(path, 256u << 20).value_or("");
  EXPECT_THAT(text, HasSubstr("log lines were dropped before this one"));
  EXPECT_THAT(metrics.text(), Not(HasSubstr("felix_logs_dropped 0\n")));
}

}  // namespace
}  // namespace os
