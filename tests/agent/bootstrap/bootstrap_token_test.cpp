#include "agent/bootstrap/bootstrap_token.hpp"

#include <gtest/gtest.h>

namespace walcast {

TEST(BootstrapToken, IsReadAgain) {
    std::string all;
    for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
    for (const auto& key : std::vector<std::vector<std::string>>{
             {}, {"7"}, {""}, {"", ""}, {"a,b", "\n", "é"}, {all}, {"1", all, "12"}}) {
        BootstrapToken token{
            .asked = "0123", .schema = "public", .table = "my \"todos\"", .key = key};
        auto written = write_token(token);

        EXPECT_EQ(written.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                            "0123456789-_"),
                  std::string::npos);
        EXPECT_EQ(read_token(written), token);
    }
}

TEST(BootstrapToken, RefusesWhatIsNone) {
    auto written =
        write_token({.asked = "0123", .schema = "public", .table = "todos", .key = {"7"}});

    for (std::size_t size = 0; size < written.size(); ++size) {
        auto cut = read_token(written.substr(0, size));
        EXPECT_TRUE(!cut || cut->key.empty()) << size;
    }
    for (const auto* text : {"", "?", "AA==", "a b"}) EXPECT_FALSE(read_token(text)) << text;
}

}  // namespace walcast
