#pragma once

#include "decoders/json_string.hpp"
#include "decoders/json_type.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace walcast {

class TextScanner;

// Writes values of any type; keeps its buffers, so that rows of a kind allocate nothing.
class ValueWriter {
public:
    // Expects the text that a server prints under the pinned settings of agent/pg_connection.
    // Throws ValueError.
    void append(std::string& out, const JsonType& type, std::string_view text) {
        append_value(out, type, text, 0);
    }

private:
    // `depth` counts the values that hold this one. A value in the scratch string of one depth is
    // written with those of greater depth.
    void append_value(std::string& out, const JsonType& type, std::string_view text,
                      std::size_t depth);
    void append_array(std::string& out, const JsonType& type, std::string_view text,
                      std::size_t depth);
    void append_dimension(std::string& out, const JsonType& type, TextScanner& in,
                          std::size_t depth, int dimension);
    void append_element(std::string& out, const JsonType& type, TextScanner& in, std::size_t depth,
                        int dimension);
    void append_vector(std::string& out, const JsonType& type, std::string_view text,
                       std::size_t depth);
    void append_composite(std::string& out, const JsonType& type, std::string_view text,
                          std::size_t depth);
    void append_hstore(std::string& out, std::string_view text, std::size_t depth);

    // Deeper than values go: every second level doubles their quotes.
    static constexpr std::size_t depth_max = 32;
    std::array<std::string, depth_max> scratch_;
};

}  // namespace walcast
