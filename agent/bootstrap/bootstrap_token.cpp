#include "agent/bootstrap/bootstrap_token.hpp"

#include <cstdint>

namespace walcast {

static constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static std::string to_base64url(std::string_view bytes) {
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (auto byte : bytes) {
        bits = (bits << 8U | static_cast<unsigned char>(byte)) & 0xFFFFU;
        for (count += 8; count >= 6; count -= 6) text += digits[bits >> (count - 6) & 63U];
    }
    if (count > 0) text += digits[bits << (6 - count) & 63U];
    return text;
}

static std::optional<std::string> from_base64url(std::string_view text) {
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (auto digit : text) {
        auto value = digits.find(digit);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6U | static_cast<std::uint32_t>(value)) & 0xFFFFU;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>(bits >> count & 0xFFU);
    }
    return bytes;
}

// Its texts, a NUL after each: Postgres has none in any.
std::string write_token(const BootstrapToken& token) {
    std::string bytes;
    for (const auto* text : {&token.asked, &token.schema, &token.table}) bytes += *text + '\0';
    for (const auto& text : token.key) bytes += text + '\0';
    return to_base64url(bytes);
}

std::optional<BootstrapToken> read_token(std::string_view text) {
    auto bytes = from_base64url(text);
    if (!bytes || bytes->empty() || bytes->back() != '\0') return std::nullopt;
    std::vector<std::string> texts;
    for (std::string_view rest = *bytes; !rest.empty();) {
        auto end = rest.find('\0');
        texts.emplace_back(rest.substr(0, end));
        rest.remove_prefix(end + 1);
    }
    if (texts.size() < 3) return std::nullopt;
    BootstrapToken token{.asked = std::move(texts[0]),
                         .schema = std::move(texts[1]),
                         .table = std::move(texts[2]),
                         .key = {}};
    for (std::size_t i = 3; i < texts.size(); ++i) token.key.push_back(std::move(texts[i]));
    return token;
}

}  // namespace walcast
