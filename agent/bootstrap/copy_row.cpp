#include "agent/bootstrap/copy_row.hpp"

#include "agent/errors.hpp"

namespace walcast {

// What stands for a character after a backslash.
static char unescape(char character) {
    switch (character) {
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'v': return '\v';
        default: return character;
    }
}

const Tuple& CopyRow::read(std::string_view line) {
    tuple_.clear();
    text_.clear();
    text_.reserve(line.size());  // So that views into it stay.
    if (line.ends_with('\n')) line.remove_suffix(1);
    for (auto is_last = false; !is_last;) {
        auto tab = line.find('\t');
        is_last = tab == std::string_view::npos;
        auto field = line.substr(0, tab);
        if (!is_last) line.remove_prefix(tab + 1);
        if (field == "\\N") {
            tuple_.push_back({});
        } else if (field.find('\\') == std::string_view::npos) {
            tuple_.push_back({Value::Kind::text, field});
        } else {
            auto begin = text_.size();
            for (std::size_t i = 0; i < field.size(); ++i) {
                if (field[i] != '\\') {
                    text_ += field[i];
                    continue;
                }
                if (++i == field.size())
                    throw PgError("postgres: a row of COPY ends in the middle of a character");
                text_ += unescape(field[i]);
            }
            tuple_.push_back({Value::Kind::text, std::string_view(text_).substr(begin)});
        }
    }
    return tuple_;
}

}  // namespace walcast
