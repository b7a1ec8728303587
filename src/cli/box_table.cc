#include "cli/box_table.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/strings.h"

namespace cli {
namespace {

constexpr std::size_t kWrapColumns = 30;

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Optional minus, digits, optional groups of three after commas, optional decimals.
bool is_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  if (dot != text.npos) {
    const std::string_view decimals = text.substr(dot + 1);
    if (decimals.empty() || !std::ranges::all_of(decimals, is_digit)) return false;
  }
  const auto groups = base::split(whole, ',');
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].empty() || !std::ranges::all_of(groups[i], is_digit)) return false;
    const bool grouped = groups.size() > 1;
    if (grouped && (i == 0 ? groups[i].size() > 3 : groups[i].size() != 3)) return false;
  }
  return true;
}

// Lines of words whose unused columns have the smallest sum of squares; the last line counts for nothing.
std::vector<std::string> wrap(const std::string& cell) {
  if (width_of(cell) <= kWrapColumns) return {cell};
  std::vector<std::string> words;
  std::size_t longest = 0;
  for (const std::string_view word : base::split(cell, ' ')) {
    if (word.empty()) continue;
    words.emplace_back(word);
    longest = std::max(longest, width_of(words.back()));
  }
  const std::size_t limit = std::max(longest, kWrapColumns);
  const std::size_t count = words.size();
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::vector<std::uint64_t> cost(count + 1, kNever);
  std::vector<std::size_t> next(count + 1, count);
  cost[count] = 0;
  for (std::size_t first = count; first-- > 0;) {
    std::size_t used = 0;
    for (std::size_t end = first + 1; end <= count; ++end) {
      used += width_of(words[end - 1]) + (end - first > 1 ? 1 : 0);
      if (used > limit) break;
      const std::uint64_t slack = end == count ? 0 : limit - used;
      if (cost[end] != kNever && slack * slack + cost[end] < cost[first]) {
        cost[first] = slack * slack + cost[end];
        next[first] = end;
      }
    }
  }
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < count; at = next[at])
    lines.push_back(base::join(
        {words.begin() + static_cast<std::ptrdiff_t>(at), words.begin() + static_cast<std::ptrdiff_t>(next[at])}, " "));
  return lines;
}

std::string border(const std::vector<std::size_t>& widths) {
  std::string line = "+";
  for (const std::size_t width : widths) line += std::string(width + 2, '-') + "+";
  return line + "\n";
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string blanks(width - width_of(text), ' ');
  return " " + (right ? blanks + text : text + blanks) + " |";
}

}  // namespace

std::string box_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < headings.size(); ++column) {
    std::size_t width = width_of(headings[column]);
    for (const auto& row : rows) {
      for (const std::string& line : wrap(row[column])) width = std::max(width, width_of(line));
    }
    widths.push_back(width);
  }
  std::string text = border(widths) + "|";
  for (std::size_t column = 0; column < headings.size(); ++column) {
    const std::size_t spare = widths[column] - width_of(headings[column]);
    text += " " + std::string(spare / 2, ' ') + headings[column] + std::string(spare - spare / 2, ' ') + " |";
  }
  text += "\n" + border(widths);
  for (const auto& row : rows) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (const std::string& cell : row) {
      cells.push_back(wrap(cell));
      height = std::max(height, cells.back().size());
    }
    for (std::size_t line = 0; line < height; ++line) {
      text += "|";
      for (std::size_t column = 0; column < row.size(); ++column) {
        const std::string part = line < cells[column].size() ? cells[column][line] : "";
        text += padded(part, widths[column], is_number(row[column]));
      }
      text += "\n";
    }
  }
  return text + border(widths);
}

}  // namespace cli
