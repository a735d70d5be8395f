#include "agent/recording/mask_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace walcast {

namespace {

class JsonMasker {
public:
    JsonMasker(const FormMasker& masker, std::string_view text, OutermostNames names)
        : masker_(masker), text_(text), names_(names) {}

    std::string mask() {
        while (at_ < text_.size()) {
            auto c = text_[at_];
            if (c == '"') {
                mask_string();
            } else if ((c >= '0' && c <= '9') || c == '-') {
                mask_number();
            } else if (c == 't' || c == 'f' || c == 'n') {
                keep_word();
            } else {
                if (c == '{' || c == '[') ++depth_;
                if (c == '}' || c == ']') --depth_;
                if (std::string_view("{}[],: \t\r\n").find(c) == std::string_view::npos)
                    throw OtherForm();
                out_ += c;
                ++at_;
            }
        }
        return std::move(out_);
    }

private:
    void mask_string() {
        auto begin = ++at_;
        while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        if (at_ >= text_.size()) throw OtherForm();
        auto raw = text_.substr(begin, at_++ - begin);
        auto behind = text_.find_first_not_of(" \t\r\n", at_);
        auto is_name = behind != std::string_view::npos && text_[behind] == ':';
        out_ += '"';
        if (is_name && depth_ == 1 && names_ == OutermostNames::kept)
            out_ += raw;
        else
            append_text(raw);
        out_ += '"';
    }

    // Escapes stay, but for those of a code point, which become others.
    void append_text(std::string_view raw) {
        std::string pieces;  // All that is not an escape, masked together.
        for (std::size_t i = 0; i < raw.size();) {
            auto size = escape_size(raw, i);
            if (size == 0) pieces += raw[i];
            i += std::max<std::size_t>(size, 1);
        }
        auto masked = masker_.text(pieces);
        std::size_t at = 0;
        for (std::size_t i = 0; i < raw.size();) {
            auto size = escape_size(raw, i);
            if (size == 0) out_ += masked[at++];
            if (size == 2) out_ += raw.substr(i, size);
            if (size == 6) append_code_point(raw.substr(i, size));
            i += std::max<std::size_t>(size, 1);
        }
    }
    static std::size_t escape_size(std::string_view raw, std::size_t i) {
        if (raw[i] != '\\') return 0;
        auto size = i + 1 < raw.size() && raw[i + 1] == 'u' ? 6U : 2U;
        if (i + size > raw.size()) throw OtherForm();
        return size;
    }
    void append_code_point(std::string_view escape) {
        std::uint32_t code = 0;
        auto hex = escape.substr(2);
        auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        if (error != std::errc{} || end != hex.data() + hex.size()) throw OtherForm();
        auto within = [&](std::uint32_t first, std::uint32_t count) {
            auto value = masker_.permutation().number((code - first) % count, count);
            out_ += fmt::format("\\u{:04x}", first + value);
        };
        if (code < 0x20) return static_cast<void>(out_ += escape);
        if (code < 0x80) return within(0x100, 0x80);
        if (code >= 0xDC00 && code < 0xE000) return within(0xDC00, 0x400);
        if (code >= 0xD800 && code < 0xDC00) return within(0xD800, 0x400);
        within(0x1000, 0xC000);
    }

    void mask_number() {
        auto end = std::min(text_.find_first_not_of("0123456789.eE+-", at_), text_.size());
        out_ += masker_.number(text_.substr(at_, end - at_));
        at_ = end;
    }

    // True, false, null.
    void keep_word() {
        for (std::string_view word : {"true", "false", "null"}) {
            if (!text_.substr(at_).starts_with(word)) continue;
            out_ += word;
            at_ += word.size();
            return;
        }
        throw OtherForm();
    }

    const FormMasker& masker_;
    std::string_view text_;
    OutermostNames names_;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::string out_;
};

}  // namespace

std::string mask_json(const FormMasker& masker, std::string_view text, OutermostNames names) {
    return JsonMasker(masker, text, names).mask();
}

}  // namespace walcast
