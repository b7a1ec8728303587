// table.h: the conversations with a kernel table whose entries are changed one request each (routes, neighbours).
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/netlink/socket.h"

namespace kernel::netlink {

// The whole table: what `parse` (payload → optional entry) makes of each message of type `entry_type`. What it makes
// nothing of is left out. `what` names the conversation in errors.
template <typename Entry, typename Parse>
[[nodiscard]] base::Result<std::vector<Entry>> read_table(Socket& socket, Batch& request, std::string_view what,
                                                          std::uint16_t entry_type, Parse parse) {
  std::vector<Entry> entries;
  auto done = socket.dump(
      request, what, [&] { entries.clear(); },
      [&](const Message& message) {
        if (message.type != entry_type) return;
        if (auto entry = parse(message.payload)) entries.push_back(*std::move(entry));
      });
  if (!done) return base::fail(std::move(done).error());
  return entries;
}

// One request for each edit, written by `put(batch, edit)`; one answer for each, in their order, made by
// `answer(edit, reply)`. An error means that nothing is known of the table any more.
template <typename Answer, typename Edit, typename Put, typename MakeAnswer>
[[nodiscard]] base::Result<std::vector<Answer>> change_table(Socket& socket, std::span<const Edit> edits,
                                                             std::string_view what, Put put, MakeAnswer answer) {
  std::vector<Answer> answers;
  if (edits.empty()) return answers;
  Batch batch;
  for (const Edit& edit : edits) put(batch, edit);
  const auto replies = socket.execute(batch);
  if (!replies) return base::fail(base::Error(replies.error()).in(what));
  std::transform(edits.begin(), edits.end(), replies->begin(), std::back_inserter(answers), std::move(answer));
  return answers;
}

}  // namespace kernel::netlink
