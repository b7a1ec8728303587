// Measures a store on a private etcd: time of a snapshot of N keys of ~1 KB, and the latency from a put to its event
// beside that of the put alone. Usage: store_etcd_bench [keys]
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "etcd_server.h"
#include "event_collector.h"
#include "os/event_loop.h"
#include "store/blocking.h"
#include "store/etcd/etcd_store.h"

namespace {

using Clock = std::chrono::steady_clock;

double ms(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

double resident_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

void fill(store::BlockingStore& store, int keys) {
  const std::string value(1000, 'x');
  for (int i = 0; i < keys;) {
    store::Transaction batch;
    for (int n = 0; n < 100 && i < keys; ++n, ++i) {
      batch.puts.emplace_back(
          fmt::format("/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/ep{:07}", i), value);
    }
    if (auto done = store.commit(std::move(batch)); !done) {
      fmt::print("fill: {}\n", done.error().text());
      std::exit(1);
    }
  }
}

void snapshot(store::Store& store) {
  os::LoopThread reader("reader");
  std::atomic<bool> finished = false;
  std::size_t items = 0, pages = 0;
  const auto start = Clock::now();
  auto subscription = store.subscribe({"/calico/"}, reader.loop(), [&](store::StoreEvent event) {
    if (auto* page = std::get_if<store::SnapshotPage>(&event)) items += page->items.size(), ++pages;
    if (std::holds_alternative<store::SnapshotDone>(event)) finished = true, finished.notify_one();
  });
  reader.start();
  finished.wait(false);
  fmt::print("snapshot: {} keys in {} pages, {:.0f} ms, peak memory {:.0f} MB\n", items, pages,
             ms(Clock::now() - start), resident_mb());
  reader.stop();
  subscription.reset();
}

void latency(store::Store& store) {
  os::LoopThread reader("reader");
  std::atomic<int> seen = 0;
  Clock::time_point seen_at;
  std::atomic<bool> synced = false;
  auto subscription = store.subscribe({"/bench/"}, reader.loop(), [&](store::StoreEvent event) {
    if (std::holds_alternative<store::SnapshotDone>(event)) synced = true, synced.notify_one();
    if (std::holds_alternative<store::Delta>(event)) seen_at = Clock::now(), ++seen, seen.notify_one();
  });
  reader.start();
  synced.wait(false);
  store::BlockingStore writer(store);
  std::vector<double> puts, events;
  for (int i = 0; i < 500; ++i) {
    const auto start = Clock::now();
    if (!writer.put("/bench/key", fmt::format("{}", i))) std::exit(1);
    puts.push_back(ms(Clock::now() - start));
    seen.wait(i);
    events.push_back(ms(seen_at - start));
  }
  std::sort(puts.begin(), puts.end());
  std::sort(events.begin(), events.end());
  fmt::print("put acknowledged p50 {:.3f} ms p99 {:.3f} ms; put to event p50 {:.3f} ms p99 {:.3f} ms\n", puts[250],
             puts[495], events[250], events[495]);
  reader.stop();
  subscription.reset();
}

}  // namespace

int main(int argc, char** argv) {
  const int keys = argc > 1 ? std::atoi(argv[1]) : 100'000;
  store_test::EtcdServer server;
  base::NullLog log;
  base::MetricRegistry metrics;
  {
    auto store = store::make_etcd_store({.endpoints = {*store::parse_etcd_endpoint(server.url())}}, log, metrics);
    store::BlockingStore blocking(*store);
    latency(*store);
    fill(blocking, keys);
  }
  for (int round = 0; round < 3; ++round) {
    auto store = store::make_etcd_store({.endpoints = {*store::parse_etcd_endpoint(server.url())}}, log, metrics);
    snapshot(*store);
  }
  fmt::print("{}", metrics.text());
  return 0;
}
