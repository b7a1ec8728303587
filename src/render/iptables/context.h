// context.h: what every chain generator needs to know.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "render/iptables/marks.h"
#include "render/iptables/rule.h"
#include "render/settings.h"

namespace render::iptables {

enum class Table : std::uint8_t { kRaw, kMangle, kNat, kFilter };
inline constexpr std::array<Table, 4> kTables{Table::kRaw, Table::kMangle, Table::kNat, Table::kFilter};
std::string_view to_string(Table table);

struct Context {
  Settings settings;
  Marks marks;

  Action filter_allow() const;
  Action mangle_allow() const;
  // The configured deny action in filter; DROP elsewhere, where the kernel knows no REJECT (spec Q2, Q29).
  Action deny(Table table) const;
  // "Drop" or "Reject", as rule comments begin.
  std::string_view deny_word() const { return settings.deny == DenyAction::kDrop ? "Drop" : "Reject"; }
};

}  // namespace render::iptables
