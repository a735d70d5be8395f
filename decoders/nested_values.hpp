#pragma once

#include "decoders/json_type.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The scalars inside a value, as texts; used again from value to value, so that nothing is
// allocated for a row.
class NestedValues {
public:
    NestedValues();
    ~NestedValues();
    NestedValues(NestedValues&&) noexcept;

    // Takes the elements of an array, of whatever dimensions, each once and in order; nulls are
    // left out. Throws ValueError.
    void read_array(const JsonType& array, std::string_view text);

    // Takes what a JSON document has under `keys`: a scalar, or the scalars of an array, likewise;
    // nothing where it has none. Of a key that is there twice the last one counts, as for Postgres.
    // Strings are as they mean, all else is as it is written. Throws ValueError.
    void read_json(std::string_view document, std::span<const std::string> keys);

    std::size_t size() const { return slices_.size(); }
    // Valid until the next value is read.
    std::string_view operator[](std::size_t i) const {
        return std::string_view(bytes_).substr(slices_[i].begin, slices_[i].size);
    }

private:
    struct Parser;
    struct Slice {
        std::size_t begin = 0;
        std::size_t size = 0;
    };
    void clear();
    void add(std::string_view text);
    void keep_each_once();

    std::string bytes_;
    std::vector<Slice> slices_;
    std::string scratch_;
    std::unique_ptr<Parser> parser_;  // Made when it is first needed.
};

}  // namespace walcast
