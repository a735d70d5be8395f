#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Where a bootstrap was: a later one goes on after that.
struct BootstrapToken {
    std::string asked;   // For what: it does for no other bootstrap.
    std::string schema;  // The table,
    std::string table;
    std::vector<std::string> key;  // and its row of this primary key; empty: all of it is done.

    bool operator==(const BootstrapToken&) const = default;
};

// In letters, digits, `-` and `_`.
std::string write_token(const BootstrapToken& token);
std::optional<BootstrapToken> read_token(std::string_view text);

}  // namespace walcast
