#pragma once

#include <string>
#include <string_view>

namespace walcast {

// Walks along the text of one structured value. Everything that is not as expected is a ValueError.
class TextScanner {
public:
    // `what` names the type in errors and must be a literal.
    explicit TextScanner(std::string_view text, const char* what)
        : text_(text), at_(text.data()), end_(text.data() + text.size()), what_(what) {}

    bool at_end() const { return at_ == end_; }
    bool is_at(char next) const { return at_ != end_ && *at_ == next; }
    bool skip(char next) {
        if (!is_at(next)) return false;
        ++at_;
        return true;
    }
    void expect(char next) {
        if (!skip(next)) fail_expecting({&next, 1});
    }
    void expect(std::string_view next) {
        for (auto character : next)
            if (!skip(character)) fail_expecting(next);
    }
    void expect_end() const {
        if (!at_end()) fail("text after its end");
    }

    // Behind an opening quote: up to the closing one, which is consumed. A backslash takes the next
    // character as it is; with `doubling`, a quote may also be written twice. `buffer` is used, and
    // the view then is of it, only if there is anything to undo.
    enum class Quotes { by_backslash, doubled };
    std::string_view quoted(Quotes quotes, std::string& buffer);
    void skip_quoted(Quotes quotes) { raw_quoted(quotes); }

    // Up to the delimiter or the closing bracket, neither of them consumed. What a server would
    // have quoted is refused.
    std::string_view bare(char delimiter, char opening, char closing);

    [[noreturn]] void fail(std::string_view why) const;

private:
    struct Raw {
        std::string_view text;
        bool has_escapes = false;
    };
    Raw raw_quoted(Quotes quotes);
    [[noreturn]] void fail_expecting(std::string_view next) const;

    std::string_view text_;
    const char* at_;
    const char* end_;
    const char* what_;
};

// The first bytes of `text` in quotes, for errors; printable whatever they are.
std::string excerpt(std::string_view text);

}  // namespace walcast
