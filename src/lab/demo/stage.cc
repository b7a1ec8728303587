#include "lab/demo/stage.h"

#include <algorithm>
#include <cstdio>

#include <fmt/core.h>

#include "base/strings.h"
#include "lab/ready.h"

namespace lab {

using base::fail;
using base::Result;
using namespace std::chrono_literals;

namespace {

// Of one attempt while waiting for a change. A packet that passes is back in a millisecond; one that is blocked is
// worth more patience, because the machine may be busy.
constexpr int kOpeningMs = 10;
constexpr int kClosingMs = 60;
constexpr int kQuickMatrixMs = 400;

}  // namespace

int Stopwatch::ms() const {
  return static_cast<int>(std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start_).count());
}

void Stage::say(const std::string& text) {
  fmt::print("      {}\n", text);
  std::fflush(stdout);
}

void Stage::step(const std::string& number, const std::string& title, const std::function<Result<Outcome>()>& body) {
  fmt::print("\n{:<5} {}\n", fmt::format("({})", number), title);
  std::fflush(stdout);
  const Stopwatch total;
  auto outcome = body();
  Row row{number, title, {}, total.ms()};
  if (outcome)
    row.outcome = std::move(*outcome);
  else
    row.outcome = {"the step runs", outcome.error().text(), false, row.total_ms};
  say(fmt::format("{}: {} ({} ms)", row.outcome.good ? "good" : "WRONG", row.outcome.seen, row.outcome.ms));
  rows_.push_back(std::move(row));
}

Result<> Stage::put(const Record& record) {
  auto written = lab_.put(record);
  if (!written) return fail(std::move(written).error());
  return {};
}

Result<Outcome> Stage::agree(const std::string& expectation, int allowed, Milliseconds limit) {
  auto verdicts = read_verdicts(lab_);
  if (!verdicts) return fail(std::move(verdicts).error());
  const Expectation expect = [&](const Flow& flow) { return verdicts->expect(flow); };
  const Stopwatch watch;
  int began = 0;
  while (true) {
    began = watch.ms();
    auto quick = run_matrix(lab_, expect, kQuickMatrixMs);
    if (!quick) return fail(std::move(quick).error());
    if (quick->differences() == 0 || watch.ms() > limit.count() * lab_.patience()) break;
  }
  // Once more with patience: what is blocked must stay blocked.
  auto report = run_matrix(lab_, expect);
  if (!report) return fail(std::move(report).error());
  if (report->differences() > 0) fmt::print("{}", to_text(lab_.plan(), *report));
  Outcome outcome;
  outcome.expected = fmt::format("{}: {} of {} flows pass", expectation, allowed, report->cells.size());
  const auto passed =
      std::ranges::count_if(report->cells, [](const Cell& c) { return c.seen.verdict == Verdict::kOk; });
  outcome.seen =
      fmt::format("{} of {} pass, {} differ from what should be", passed, report->cells.size(), report->differences());
  if (lab_.plan().topology.pool != PoolMode::kNone) outcome.seen += "; " + report->travelled;
  outcome.good = report->differences() == 0 && report->allowed() == allowed;
  outcome.ms = began;
  return outcome;
}

Result<int> Stage::until(const std::string& from, Probe probe, bool passes, Milliseconds limit) {
  auto client = lab_.prober(from);
  if (!client) return fail(std::move(client).error());
  probe.timeout_ms = passes ? kOpeningMs : kClosingMs;
  const Stopwatch watch;
  while (watch.ms() < limit.count() * lab_.patience()) {
    const int began = watch.ms();
    auto result = client->run({probe});
    if (!result) return fail(std::move(result).error());
    if ((result->at(0).verdict == Verdict::kOk) == passes) return passes ? watch.ms() : began;
    pause_for(2ms);  // leave the processor to those who are waited for
  }
  return -1;
}

Result<bool> Stage::passes(const std::string& from, const Probe& probe) {
  auto client = lab_.prober(from);
  if (!client) return fail(std::move(client).error());
  auto result = client->run({probe});
  if (!result) return fail(std::move(result).error());
  return result->at(0).verdict == Verdict::kOk;
}

namespace {

struct Column {
  std::size_t width;
  std::vector<std::string> lines;
};

// Breaks at spaces; a longer word gets a line of its own.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines = {""};
  for (const std::string_view word : base::split(text, ' ')) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::string row_text(std::vector<Column> columns) {
  std::size_t height = 0;
  for (const Column& column : columns) height = std::max(height, column.lines.size());
  std::string text;
  for (std::size_t line = 0; line < height; ++line) {
    std::string whole;
    for (const Column& column : columns) {
      whole += fmt::format("{:<{}}  ", line < column.lines.size() ? column.lines[line] : "", column.width);
    }
    text += whole.substr(0, whole.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace

std::string Stage::table() const {
  constexpr std::size_t kNumber = 4, kTitle = 28, kExpected = 30, kSeen = 36;
  std::string text =
      "\n" +
      row_text({{kNumber, {""}}, {kTitle, {"step"}}, {kExpected, {"expected"}}, {kSeen, {"seen"}}, {6, {"    ms"}}});
  text += std::string(118, '-') + "\n";
  for (const Row& row : rows_) {
    text += row_text({{kNumber, {fmt::format("({})", row.number)}},
                      {kTitle, wrapped(row.title, kTitle)},
                      {kExpected, wrapped(row.outcome.expected, kExpected)},
                      {kSeen, wrapped(row.outcome.seen, kSeen)},
                      {6, {fmt::format("{:>6}", row.outcome.ms)}},
                      {5, {row.outcome.good ? "good" : "WRONG"}}});
  }
  return text;
}

bool Stage::all_good() const {
  return std::ranges::all_of(rows_, [](const Row& row) { return row.outcome.good; });
}

}  // namespace lab
