#pragma once

#include "agent/rules/known_row.hpp"
#include "agent/rules/name_index.hpp"
#include "agent/rules/table_rule.hpp"
#include "decoders/nested_values.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The channels of rows, one after the other in one string; used again from change to change, so
// that nothing is allocated for a row.
class ChannelNames {
public:
    enum class Outcome {
        known,
        unknown,   // A column of theirs is not told.
        too_many,  // More than channels_max, or tries_max.
    };
    // A row of an array of members has no more channels than this.
    static constexpr std::size_t channels_max = 1024;
    // Nor are more names of one template tried, of which most may be too long.
    static constexpr std::size_t tries_max = 64 * channels_max;

    // Appends the channels of a row, each once. One that reads a null, a JSON key that is not there
    // or no element of an array does not exist for it, nor one whose name is too long. Throws
    // ValueError. Appends nothing unless they are known.
    Outcome append(const TableRule& rule, const KnownRow& row);

    std::size_t size() const { return slices_.size(); }
    std::string_view operator[](std::size_t i) const {
        return std::string_view(bytes_).substr(slices_[i].begin, slices_[i].size);
    }
    void resize(std::size_t count) { slices_.resize(count); }
    void clear() {
        slices_.clear();
        bytes_.clear();
        has_too_long_ = false;
    }
    // Puts those of the first range that are in the second, too, before the rest; both keep their
    // order. Returns where the rest begins.
    std::size_t put_shared_first(std::size_t begin, std::size_t end, std::size_t other_begin,
                                 std::size_t other_end);

    // Some name was left out, as too long, since `clear`.
    bool has_too_long() const { return has_too_long_; }

private:
    bool read_values(const std::vector<TableRule::Part>& parts, const KnownRow& row);
    bool has_nothing(const std::vector<TableRule::Part>& parts) const;
    void extend(const std::vector<TableRule::Part>& parts, std::size_t part);
    void add(std::string_view name);

    struct Slice {
        std::size_t begin = 0;
        std::size_t size = 0;
    };
    std::string bytes_;
    std::vector<Slice> slices_;
    NameIndex index_;          // Of the row at hand, or of what is looked for.
    std::vector<Slice> rest_;  // While some are put first.
    std::size_t first_ = 0;    // Of the row at hand.
    std::size_t tries_ = 0;    // Of the template at hand.
    std::string name_;
    std::vector<NestedValues> nested_;  // Of each part of the template at hand.
    std::vector<const Value*> values_;
    bool has_too_long_ = false;
};

}  // namespace walcast
