#include "worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "os/event_loop.h"
#include "os/random.h"
#include "store/open_store.h"
#include "testing/rng.h"

namespace ipam_test {

SharedBoard::SharedBoard(const std::string& path) {
  const base::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  CHECK(fd && ::ftruncate(fd.get(), sizeof(Board)) == 0);
  void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  CHECK(memory != MAP_FAILED);
  board_ = static_cast<Board*>(memory);
}

SharedBoard::~SharedBoard() { ::munmap(board_, sizeof(Board)); }

namespace {

constexpr std::size_t kMostHeld = 75;  // 50 workers nearly fill the pool
constexpr std::uint64_t kLargestPiece = 24;

struct Piece {
  std::string handle;
  std::vector<base::IpAddress> addresses;
};

class Worker {
 public:
  Worker(const WorkerOptions& options, ipam::Ipam& ipam)
      : options_(options), ipam_(ipam), board_(options.board), rng_(options.seed) {}

  void take_and_release() {
    std::uint32_t taken = 0;
    for (int piece = 0; taken < options_.quota; ++piece) {
      const auto count = std::min<std::uint64_t>(1 + rng_.below(kLargestPiece), options_.quota - taken);
      while (held() + count > kMostHeld) release(rng_.index(pieces_.size()));
      taken += take(options_.name + "-" + std::to_string(piece), count);
      if (!pieces_.empty() && rng_.one_in(3)) release(rng_.index(pieces_.size()));
    }
  }

  void report() {
    std::ofstream out(options_.results + ".part");
    for (const Piece& piece : pieces_) {
      for (const auto& address : piece.addresses) out << base::to_string(address) << ' ' << piece.handle << '\n';
    }
    out.close();
    CHECK(std::rename((options_.results + ".part").c_str(), options_.results.c_str()) == 0);
  }

  void release_all() {
    while (!pieces_.empty()) release(0);
  }

 private:
  std::atomic<std::uint8_t>& slot(const base::IpAddress& address) {
    const auto pool = *base::parse_cidr("10.65.0.0/20");
    CHECK(pool.contains(address));
    return board_->held[static_cast<std::size_t>(ipam::to_number(address) - ipam::to_number(pool.address))];
  }

  std::size_t held() const {
    std::size_t count = 0;
    for (const Piece& piece : pieces_) count += piece.addresses.size();
    return count;
  }

  std::uint32_t take(const std::string& handle, std::size_t count) {
    auto got = ipam_.auto_assign({.host = options_.host,
                                  .count = count,
                                  .handle = handle,
                                  .attributes = {{"node", options_.host}, {"pod", handle}}});
    if (!got) {
      std::fprintf(stderr, "%s: %s\n", handle.c_str(), got.error().text().c_str());
      std::_Exit(3);
    }
    for (const auto& address : got->addresses) {
      if (slot(address).exchange(1) != 0) ++board_->duplicates;
    }
    board_->assigned += static_cast<std::uint32_t>(got->addresses.size());
    const auto taken = static_cast<std::uint32_t>(got->addresses.size());
    if (taken > 0) pieces_.push_back({handle, std::move(got->addresses)});
    return taken;
  }

  void release(std::size_t index) {
    const Piece piece = std::move(pieces_[index]);
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(index));
    for (const auto& address : piece.addresses) slot(address) = 0;  // before: the next may have it at once
    board_->released += static_cast<std::uint32_t>(piece.addresses.size());
    if (rng_.one_in(2)) {
      const auto count = ipam_.release_by_handle(piece.handle);
      expect(count && *count == piece.addresses.size(),
             piece.handle + ": " + (count ? std::to_string(*count) : count.error().text()));
      return;
    }
    std::vector<ipam::Release> requests;
    for (const auto& address : piece.addresses) requests.push_back({.address = address, .handle = piece.handle});
    const auto released = ipam_.release(requests);
    expect(released && !released->error && released->released.size() == piece.addresses.size(),
           piece.handle + ": " + (released ? "some were not assigned" : released.error().text()));
  }

  static void expect(bool good, const std::string& what) {
    if (good) return;
    std::fprintf(stderr, "release of %s\n", what.c_str());
    std::_Exit(4);
  }

  const WorkerOptions& options_;
  ipam::Ipam& ipam_;
  SharedBoard board_;
  testing::Rng rng_;
  std::vector<Piece> pieces_;
};

}  // namespace

int run_worker(const WorkerOptions& options) {
  base::NullLog log;
  base::MetricRegistry metrics;
  auto opened = store::open_store(*store::parse_location(options.url), log, metrics);
  if (!opened) return 2;
  store::BlockingStore blocking(**opened, {.timeout = std::chrono::seconds(5), .wait_for_connection = true});
  const os::SystemClock clock;
  ipam::Ipam ipam(
      blocking,
      {.wall = [&] { return clock.wall(); },
       .now = [&] { return clock.now(); },
       .jitter = os::make_jitter(),
       .pause =
           [](base::Duration pause) { ::poll(nullptr, 0, static_cast<int>(pause / std::chrono::milliseconds(1))); }},
      {.tries = 1000});
  Worker worker(options, ipam);
  worker.take_and_release();
  worker.report();
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  worker.release_all();
  return 0;
}

}  // namespace ipam_test
