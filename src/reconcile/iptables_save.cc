#include "reconcile/iptables_save.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "render/iptables/names.h"

namespace reconcile {
namespace {

using render::iptables::kTables;
using render::iptables::Table;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The id of a rule of ours, or empty.
std::string_view rule_id(std::string_view line) {
  constexpr std::string_view kComment = "--comment ";
  for (std::size_t at = line.find(kComment); at != line.npos; at = line.find(kComment, at)) {
    at += kComment.size();
    std::string_view rest = line.substr(at);
    if (rest.starts_with('"')) rest.remove_prefix(1);
    if (!rest.starts_with("cali:")) continue;
    rest.remove_prefix(5);
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_id_character);
    if (end != rest.begin()) return rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  }
  return {};
}

// Rules that releases without ids left in chains of others.
bool is_old_insert(Table table, std::string_view line) {
  for (const std::string_view flag : {" -j ", " --jump "}) {
    const std::size_t at = line.find(flag);
    if (at != line.npos && render::iptables::is_owned_chain(line.substr(at + flag.size()))) return true;
  }
  if (table != Table::kNat || !line.starts_with("-A POSTROUTING ")) return false;
  return line.find(" felix-masq-ipam-pools ") != line.npos ||
         line ==
             "-A POSTROUTING -o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL"
             " -j MASQUERADE";
}

std::optional<Table> table_named(std::string_view name) {
  for (const Table table : kTables) {
    if (render::iptables::to_string(table) == name) return table;
  }
  return std::nullopt;
}

void read_rule(Table table, std::string_view line, TableState& state) {
  const std::string_view rest = line.substr(3);
  const std::string_view chain = rest.substr(0, rest.find(' '));
  const std::string_view id = rule_id(line);
  if (render::iptables::is_owned_chain(chain)) {
    ChainState& owned = state.owned[std::string(chain)];
    ++owned.rule_count;
    owned.fingerprint.add(id);
    return;
  }
  const std::string name(chain);
  auto placed = state.placed.find(name);
  PlacedRule rule;
  if (!id.empty()) {
    rule = {PlacedRule::Owner::kOurs, std::string(id), std::string(line)};
  } else if (is_old_insert(table, line)) {
    rule = {PlacedRule::Owner::kOld, {}, std::string(line)};
  } else if (placed == state.placed.end()) {
    ++state.foreign_only[name];
    return;
  }
  if (placed == state.placed.end()) {
    placed = state.placed.emplace(name, std::vector<PlacedRule>()).first;
    if (const auto before = state.foreign_only.extract(name)) placed->second.resize(before.mapped());
  }
  placed->second.push_back(std::move(rule));
}

}  // namespace

base::Result<std::map<Table, TableState>> parse_save(std::string_view text) {
  std::map<Table, TableState> tables;
  std::optional<Table> table;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('*')) {
      table = table_named(line.substr(1));
    } else if (line.starts_with("# Table ") && line.find("is incompatible") != line.npos) {
      // Exit status 0 notwithstanding. Other tables than ours may be as they like.
      const std::size_t open = line.find('`');
      const std::size_t close = line.find('\'', open == line.npos ? 0 : open);
      if (open != line.npos && close != line.npos && table_named(line.substr(open + 1, close - open - 1))) {
        return base::fail(base::Error::unsupported(line.substr(2)));
      }
    } else if (!table) {
      continue;
    } else if (line.starts_with(':')) {
      const std::string_view name = line.substr(1, line.find(' ') - 1);
      if (render::iptables::is_owned_chain(name)) tables[*table].owned.try_emplace(std::string(name));
    } else if (line.starts_with("-A ")) {
      read_rule(*table, line, tables[*table]);
    }
  }
  return tables;
}

}  // namespace reconcile
