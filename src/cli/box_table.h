// box_table.h: the framed tables of `ipam show` and `node status` (spec cli §4). Pure.
#pragma once

#include <string>
#include <vector>

namespace cli {

// Headings centred, plain numbers to the right, everything else to the left; cells of more than 30 columns wrapped at
// blanks. Ends with a newline.
std::string box_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

}  // namespace cli
