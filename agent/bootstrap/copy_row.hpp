#pragma once

#include "decoders/event.hpp"

#include <string>
#include <string_view>

namespace walcast {

// Reads a line of COPY's text format, as a tuple whose values are null or text. Used again from row
// to row.
class CopyRow {
public:
    // Throws PgError when it is none. Valid until the next call, and as long as `line`.
    const Tuple& read(std::string_view line);

private:
    std::string text_;
    Tuple tuple_;
};

}  // namespace walcast
