#include "agent/http/listen_address.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace walcast {

TEST(ListenAddress, TakesAddressesOfThisMachine) {
    for (const auto* text : {"127.0.0.1:7654", "127.1.2.3:1", "[::1]:7654", "unix:/run/w"})
        EXPECT_TRUE(parse_listen_address(text).is_local) << text;
}

TEST(ListenAddress, SeesWhichCanBeReachedFromElsewhere) {
    for (const auto* text :
         {"0.0.0.0:7654", "[::]:7654", "192.168.1.4:80", "[fe80::1]:80", "[::ffff:127.0.0.1]:80"})
        EXPECT_FALSE(parse_listen_address(text).is_local) << text;
}

TEST(ListenAddress, HasItsParts) {
    auto tcp = parse_listen_address("[::1]:7654");
    EXPECT_EQ(tcp.host, "::1");
    EXPECT_EQ(tcp.port, 7654U);
    EXPECT_EQ(tcp.text, "[::1]:7654");

    EXPECT_EQ(parse_listen_address("unix:/run/w").path, "/run/w");
    EXPECT_TRUE(parse_listen_address("").is_off());
    EXPECT_FALSE(tcp.is_off());
}

TEST(ListenAddress, RefusesWhatIsNone) {
    for (const auto* text :
         {"7654", ":7654", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
          "127.0.0.1: 80", "127.0.0.1:80x", "localhost:7654", "::1:7654", "[::1]", "[]:1",
          "[127.0.0.1]:80", "1.2.3:80", "unix:", "unix:run/w"})
        EXPECT_THROW(parse_listen_address(text), std::invalid_argument) << text;
    EXPECT_THROW(parse_listen_address("unix:/" + std::string(107, 'a')), std::invalid_argument);
    EXPECT_NO_THROW(parse_listen_address("unix:/" + std::string(106, 'a')));
}

}  // namespace walcast
