#include "agent/doctor/secret_names.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace walcast {

namespace {

// Words by themselves.
constexpr std::string_view secret_words[] = {
    "password", "passwords", "passwd", "passphrase", "passcode",    "pwd", "secret",
    "secrets",  "token",     "tokens", "credential", "credentials", "ssn", "cvv",
    "cvc",      "otp",       "totp",   "salt",       "iban"};

// Words next to each other, or written as one.
constexpr std::string_view secret_phrases[] = {
    "apikey",        "privatekey",     "secretkey",      "accesskey",        "signingkey",
    "encryptionkey", "apitoken",       "accesstoken",    "refreshtoken",     "authtoken",
    "resettoken",    "clientsecret",   "creditcard",     "cardnumber",       "socialsecuritynumber",
    "recoverycode",  "recoverycodes",  "pincode",        "userpassword",     "passwordhash",
    "passwordsalt",  "passworddigest", "hashedpassword", "encryptedpassword"};

// What is said about a secret is none: when it was set, how many there are.
constexpr std::string_view harmless_ends[] = {
    "at",      "on",      "by",       "id",       "ids",      "count",   "type",   "kind",
    "status",  "state",   "version",  "length",   "date",     "time",    "expiry", "expires",
    "expired", "enabled", "disabled", "required", "verified", "changed", "policy", "attempts",
    "limit",   "usage",   "used",     "brand",    "last4"};
constexpr std::string_view harmless_beginnings[] = {"is",  "has",   "needs", "requires",
                                                    "num", "count", "max",   "total"};

bool is_one_of(const auto& words, std::string_view word) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// `userPassword_2` is user, password, 2.
std::vector<std::string> words_of(std::string_view name) {
    auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
    auto is_lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    std::vector<std::string> words(1);
    for (std::size_t i = 0; i < name.size(); ++i) {
        auto begins =
            is_upper(name[i]) && ((i > 0 && is_lower(name[i - 1])) ||
                                  (i > 0 && i + 1 < name.size() && is_upper(name[i - 1]) &&
                                   name[i + 1] >= 'a' && name[i + 1] <= 'z'));
        if (begins && !words.back().empty()) words.emplace_back();
        if (is_upper(name[i]))
            words.back() += static_cast<char>(name[i] + 32);
        else if (is_lower(name[i]))
            words.back() += name[i];
        else if (!words.back().empty())
            words.emplace_back();
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

// `token2` is another token.
std::string_view without_digits(std::string_view word) {
    return word.substr(0, word.find_last_not_of("0123456789") + 1);
}

}  // namespace

bool looks_secret(std::string_view column) {
    auto words = words_of(column);
    if (words.empty() || is_one_of(harmless_ends, words.back())) return false;
    if (words.size() > 1 && is_one_of(harmless_beginnings, words.front())) return false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (is_one_of(secret_words, without_digits(words[i]))) return true;
        std::string phrase;
        for (auto j = i; j < words.size() && j < i + 3; ++j) {
            phrase += words[j];
            if (is_one_of(secret_phrases, without_digits(phrase))) return true;
        }
    }
    return false;
}

}  // namespace walcast
