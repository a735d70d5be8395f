#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>

namespace walcast {

// Names that were seen before. Of very many all are forgotten, and are new once more.
class RecentNames {
public:
    static constexpr std::size_t bytes_max = std::size_t{1} << 20U;

    // Whether it is new.
    bool add(std::string_view name) {
        constexpr std::size_t name_bytes = 64;  // Besides its text.
        if (bytes_ > bytes_max) clear();
        auto is_new = names_.emplace(name).second;
        if (is_new) bytes_ += name.size() + name_bytes;
        return is_new;
    }
    void clear() {
        if (bytes_ > 0) names_ = {};
        bytes_ = 0;
    }

private:
    std::unordered_set<std::string> names_;
    std::size_t bytes_ = 0;
};

}  // namespace walcast
