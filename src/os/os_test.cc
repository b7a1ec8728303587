#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/event_loop.h"
#include "os/files.h"
#include "os/loop_thread.h"
#include "os/notify.h"
#include "os/process.h"
#include "os/signals.h"
#include "testing/temp_directory.h"

namespace os {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// --- EventLoop. These use real time, in milliseconds, because the clock is what is being tested.

TEST(EventLoop, RunsTasksTimersAndDescriptors) {
  EventLoop loop;
  std::string order;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Fd reader(ends[0]);
  const base::Fd writer(ends[1]);
  base::WatchId watch{};
  watch = loop.watch_readable(reader.get(), [&] {
    char byte = 0;
    ASSERT_EQ(::read(reader.get(), &byte, 1), 1);
    order += byte;
    loop.unwatch(watch);
    loop.stop();
  });
  loop.after(milliseconds(2), [&] {
    order += "2";
    ASSERT_EQ(::write(writer.get(), "r", 1), 1);
  });
  loop.after(milliseconds(1), [&] { order += "1"; });
  const auto cancelled = loop.after(milliseconds(1), [&] { order += "x"; });
  loop.post([&] {
    order += "p";
    loop.cancel(cancelled);
    loop.post([&] { order += "q"; });
  });
  loop.run();
  EXPECT_EQ(order, "pq12r");
}

TEST(EventLoop, TimersNeverRunEarlyAndASoonerOneRearms) {
  EventLoop loop;
  const base::Instant start = loop.now();
  base::Instant first{};
  loop.after(seconds(60), [] { FAIL() << "the late timer ran"; });
  loop.post([&] {
    loop.after(milliseconds(5), [&] {
      first = loop.now();
      loop.stop();
    });
  });
  loop.run();
  EXPECT_GE(first - start, milliseconds(5));
  EXPECT_LT(first - start, seconds(5));
}

TEST(EventLoop, AZeroTimerThatRepeatsLetsTasksRun) {
  EventLoop loop;
  int turns = 0;
  std::function<void()> again = [&] {
    if (++turns == 100) loop.post([&] { loop.stop(); });
    loop.after(base::Duration(0), again);
  };
  again();
  loop.run();
  EXPECT_GE(turns, 100);
}

TEST(EventLoop, StopKeepsWhatHasNotRun) {
  EventLoop loop;
  int ran = 0;
  loop.post([&] { loop.stop(); });
  loop.post([&] {
    ++ran;
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(ran, 0);
  loop.run();
  EXPECT_EQ(ran, 1);
}

TEST(EventLoop, PostFromManyThreads) {
  LoopThread thread("test");
  EventLoop& loop = thread.loop();
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  int count = 0;
  EventLoop here;
  thread.start();
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) {
        loop.post([&] {
          if (++count == kThreads * kPosts) here.stop();
        });
      }
    });
  }
  here.run();
  for (std::thread& writer : writers) writer.join();
  thread.stop();
  EXPECT_EQ(count, kThreads * kPosts);
}

TEST(Signals, ArriveOnTheLoop) {
  EventLoop loop;
  int got = 0;
  SignalWatch watch(loop, {SIGUSR1}, [&](int signal) {
    got = signal;
    loop.stop();
  });
  ::raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(got, SIGUSR1);
}

// --- Process

TEST(Process, InputOutputStatusAndEnvironment) {
  auto outcome = run({.arguments = {"sh", "-c", "cat; echo $PERCALE_TEST; echo oops >&2; exit 3"},
                      .input = "hello\n",
                      .extra_environment = {"PERCALE_TEST=extra"}});
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(outcome->output, "hello\nextra\n");
  EXPECT_EQ(outcome->errors, "oops\n");
  EXPECT_EQ(outcome->status, 3);
  EXPECT_FALSE(outcome->ok());
  EXPECT_EQ(outcome->describe(), "exit status 3: oops");
  EXPECT_GT(outcome->run_time, base::Duration(0));
}

TEST(Process, LargeInputAndOutputDoNotBlockEachOther) {
  const std::string megabytes(8u << 20, 'x');
  auto outcome = run({.arguments = {"cat"}, .input = megabytes, .output_limit = 16u << 20});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output, megabytes);
  auto cut = run({.arguments = {"cat"}, .input = megabytes, .output_limit = 1000});
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->output.size(), 1000u);
  EXPECT_TRUE(cut->output_cut);
  EXPECT_TRUE(cut->ok());
}

TEST(Process, TimeLimitKillsTheWholeGroup) {
  auto outcome = run({.arguments = {"sh", "-c", "sleep 60 & sleep 60"}, .timeout = milliseconds(50)});
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->timed_out);
  EXPECT_EQ(outcome->signal, SIGKILL);
  EXPECT_THAT(outcome->describe(), HasSubstr("time limit"));
}

TEST(Process, UnknownProgramIsNotFound) {
  auto outcome = run({.arguments = {"percale-no-such-program"}});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind(), base::ErrorKind::kNotFound);
  EXPECT_THAT(outcome.error().text(), HasSubstr("percale-no-such-program"));
  EXPECT_FALSE(run({.arguments = {"/nonexistent/program"}}));
}

TEST(Process, ChildInheritsNoDescriptorSignalMaskOrIgnoredSignal) {
  ignore_sigpipe();
  EventLoop loop;
  SignalWatch watch(loop, {SIGTERM}, [](int) {});
  auto outcome = run({.arguments = {"sh", "-c", "ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status"}});
  ASSERT_TRUE(outcome);
  // 3 is the directory that ls reads.
  EXPECT_THAT(outcome->output, HasSubstr("0\n1\n2\n3\nSigBlk"));
  EXPECT_THAT(outcome->output, HasSubstr("SigBlk:\t0000000000000000"));
  const auto ignored = outcome->output.find("SigIgn:\t");
  ASSERT_NE(ignored, std::string::npos);
  // Signals 32 and 33 belong to the C library.
  EXPECT_EQ(std::stoull(outcome->output.substr(ignored + 8), nullptr, 16) & 0x7FFFFFFFu, 0u);
}

TEST(Process, DestroyingKillsAndReaps) {
  EventLoop loop;
  bool called = false;
  auto process = Process::start(loop, {.arguments = {"sleep", "60"}}, [&](Outcome) { called = true; });
  ASSERT_TRUE(process);
  const pid_t pid = (*process)->pid();
  process->reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_FALSE(called);
}

TEST(Process, AGrandchildHoldingThePipesDoesNotDelayTheEnd) {
  auto outcome = run({.arguments = {"sh", "-c", "sleep 5 & echo done"}, .timeout = seconds(4)});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output, "done\n");
  EXPECT_FALSE(outcome->timed_out);
}

TEST(Process, DetachedWritesToItsLog) {
  const ::testing::TempDirectory directory;
  const std::string log = directory.file("log");
  auto pid = start_detached({.arguments = {"sh", "-c", "echo out; echo err >&2"}}, log);
  ASSERT_TRUE(pid);
  EventLoop loop;
  int status = 0;
  ASSERT_EQ(::waitpid(*pid, &status, 0), *pid);
  EXPECT_EQ(read_file(log).value_or(""), "out\nerr\n");
}

// --- Files

TEST(Files, WriteReadReplace) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("f");
  EXPECT_EQ(read_file(path).error().kind(), base::ErrorKind::kNotFound);
  ASSERT_TRUE(write_file_atomic(path, "one", 0640));
  EXPECT_EQ(read_file(path).value_or(""), "one");
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  ASSERT_TRUE(write_file_atomic(path, ""));
  EXPECT_EQ(read_file(path).value_or("x"), "");
  EXPECT_THAT(*list_directory(directory.path()), ::testing::ElementsAre("f"));
  ASSERT_TRUE(write_in_place(path, "two"));
  EXPECT_EQ(read_file(path).value_or(""), "two");
  EXPECT_FALSE(read_file(path, 2));
  EXPECT_TRUE(remove_file(path));
  EXPECT_TRUE(remove_file(path));
  EXPECT_FALSE(file_exists(path));
}

TEST(Files, FailuresNameThePath) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("missing/f");
  auto written = write_file_atomic(path, "x");
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().text(), HasSubstr(path));
  EXPECT_EQ(list_directory(directory.file("missing")).error().kind(), base::ErrorKind::kNotFound);
  directory.write("file", "");
  EXPECT_FALSE(make_directories(directory.file("file/below")));
  EXPECT_FALSE(make_directories(directory.file("file")));
}

TEST(Files, ProcAndDirectories) {
  EXPECT_THAT(read_file("/proc/self/status").value_or(""), HasSubstr("Name:"));
  const ::testing::TempDirectory directory;
  ASSERT_TRUE(make_directories(directory.file("a/b/c")));
  ASSERT_TRUE(make_directories(directory.file("a/b/c")));
  EXPECT_TRUE(file_exists(directory.file("a/b/c")));
}

TEST(Files, LockIsExclusiveUntilReleased) {
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("lock");
  {
    auto first = FileLock::try_lock(path);
    ASSERT_TRUE(first);
    auto second = FileLock::try_lock(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), base::ErrorKind::kUnavailable);
  }
  EXPECT_TRUE(FileLock::try_lock(path));
}

// --- systemd

TEST(Notify, SendsToTheSocketAndIsSilentWithoutOne) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_ready());
  const ::testing::TempDirectory directory;
  const std::string path = directory.file("s");
  const base::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ASSERT_TRUE(notify_ready());
  char text[32] = {};
  EXPECT_EQ(::recv(socket.get(), text, sizeof text, MSG_DONTWAIT), 7);
  EXPECT_STREQ(text, "READY=1");
  ::setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_FALSE(notify_ready());
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace os
