#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace walcast {

// Which actions of the messages are shown: several of a kind are alternatives, and all kinds must
// fit.
struct TailFilter {
    std::vector<std::string> models = {};   // Globs, as in a shell.
    std::vector<std::string> actions = {};  // insert, update, delete, or reset.
    std::vector<std::uint32_t> xids = {};
    std::vector<std::string> mutation_ids = {};

    bool is_empty() const {
        return models.empty() && actions.empty() && xids.empty() && mutation_ids.empty();
    }
};

}  // namespace walcast
