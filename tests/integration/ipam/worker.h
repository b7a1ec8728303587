// worker.h: one of the processes that take and release addresses at the same time. Started by the test as itself with
// other arguments.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ipam_test {

inline constexpr std::uint32_t kPoolSize = 4096;  // 10.65.0.0/20

// In a file that all processes map.
struct Board {
  std::atomic<std::uint32_t> assigned;    // in all, so far
  std::atomic<std::uint32_t> duplicates;  // given to two at once
  std::atomic<std::uint32_t> released;
  std::atomic<std::uint8_t> held[kPoolSize];  // 1: somebody has it
};

class SharedBoard {
 public:
  explicit SharedBoard(const std::string& path);  // created when it is not there
  ~SharedBoard();
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;
  Board& operator*() { return *board_; }
  Board* operator->() { return board_; }

 private:
  Board* board_ = nullptr;
};

struct WorkerOptions {
  std::string url;
  std::string host;
  std::string name;  // its handles begin with it
  std::string board;
  std::string results;  // file for what it holds at half time, one address and handle per line
  std::uint64_t seed = 0;
  std::uint32_t quota = 0;  // addresses to take in all
};

// Takes `quota` addresses in pieces, giving back most pieces on the way; writes what it holds; waits for standard input
// to end; gives back the rest. Returns the exit status.
int run_worker(const WorkerOptions& options);

}  // namespace ipam_test
