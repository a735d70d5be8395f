#include "sinks/redis_sink.hpp"

#include "tests/support/throws.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <future>
#include <map>

namespace walcast {

using asio::use_awaitable;
using asio::local::stream_protocol;
using std::chrono_literals::operator""s;

// A Redis that answers as it is told, which a real one with replicas does not.
class FakeRedis {
public:
    explicit FakeRedis(asio::io_context& context)
        : acceptor_(context, stream_protocol::endpoint(path())) {
        asio::co_spawn(context, serve(), asio::detached);
    }
    ~FakeRedis() { std::filesystem::remove_all(directory_); }
    FakeRedis(const FakeRedis&) = delete;

    std::string path() const { return directory_ + "/socket"; }

    std::map<std::string, std::deque<std::string>> answers;  // By the command's first word.
    std::vector<std::vector<std::string>> commands;

private:
    static std::string make_directory() {
        std::string name = "/tmp/walcast-redis-sink-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        return name;
    }

    asio::awaitable<void> serve() {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(use_awaitable);
            ReplyParser parser;
            std::array<char, 4096> input{};
            boost::system::error_code error;
            while (!error) {
                auto count = co_await socket.async_read_some(
                    asio::buffer(input), asio::redirect_error(use_awaitable, error));
                parser.feed({input.data(), count});
                std::string output;
                while (auto command = parser.next()) output += answer(*command);
                if (!output.empty())
                    co_await asio::async_write(socket, asio::buffer(output), use_awaitable);
            }
        }
    }

    std::string answer(const Reply& command) {
        commands.emplace_back();
        for (const auto& word : command.items) commands.back().push_back(word.text);
        const auto& name = commands.back().front();
        if (auto& next = answers[name]; !next.empty()) {
            auto answer = next.front();
            next.pop_front();
            return answer + "\r\n";
        }
        if (name == "INFO" || name == "SCRIPT") return "$3\r\nsha\r\n";
        return name == "HGETALL" ? "*0\r\n" : "+OK\r\n";
    }

    std::string directory_ = make_directory();
    stream_protocol::acceptor acceptor_;
};

class RedisSinkTest : public testing::Test {
protected:
    template <typename Result>
    Result run(asio::awaitable<Result> task) {
        auto result = asio::co_spawn(context, std::move(task), asio::use_future);
        context.restart();
        while (result.wait_for(0s) != std::future_status::ready)
            if (context.run_one_for(30s) == 0) throw std::runtime_error("nothing more happens");
        return result.get();
    }

    RedisSettings settings(std::uint64_t replicas) const {
        RedisSettings settings;
        settings.address.path = redis.path();
        settings.wait_replicas = replicas;
        return settings;
    }

    // The names of the commands since `connect`, and the words after WAIT.
    std::vector<std::string> said() const {
        std::vector<std::string> words;
        auto from = std::find_if(redis.commands.begin(), redis.commands.end(),
                                 [](const auto& command) { return command[0] == "HGETALL"; });
        for (; from != redis.commands.end(); ++from) {
            words.push_back(from->front());
            if (words.back() == "WAIT") words.back() += ' ' + from->at(1) + ' ' + from->at(2);
        }
        words.erase(words.begin());
        return words;
    }

    asio::io_context context;
    FakeRedis redis{context};
    Batch batch;
};

using Words = std::vector<std::string>;

TEST_F(RedisSinkTest, IsDurableAtOnceWhereNoReplicasAreWaitedFor) {
    RedisSink sink(context.get_executor(), settings(0), "me");
    run(sink.connect());

    EXPECT_TRUE(run(sink.adopt({})));
    run(sink.send(batch));
    EXPECT_TRUE(run(sink.accepted()));
    EXPECT_EQ(said(), (Words{"EVAL", "EVALSHA", "EVAL"}));  // The last one removes old histories.
}

TEST_F(RedisSinkTest, IsDurableOnceSoManyReplicasHaveIt) {
    redis.answers["WAIT"] = {":2", ":1", ":3", ":0"};
    RedisSink sink(context.get_executor(), settings(2), "me");
    run(sink.connect());

    EXPECT_TRUE(run(sink.adopt({})));
    for (auto i = 0; i < 3; ++i) run(sink.send(batch));  // All on their way at once.
    EXPECT_FALSE(run(sink.accepted()));
    EXPECT_TRUE(run(sink.accepted()));
    EXPECT_FALSE(run(sink.accepted()));
    EXPECT_EQ(said(), (Words{"EVAL", "WAIT 2 1000", "EVALSHA", "WAIT 2 1000", "EVAL", "EVALSHA",
                             "WAIT 2 1000", "EVALSHA", "WAIT 2 1000"}));
}

TEST_F(RedisSinkTest, IsNotDurableWhenItsPositionIsNot) {
    redis.answers["WAIT"] = {":0"};
    RedisSink sink(context.get_executor(), settings(1), "me");
    run(sink.connect());

    EXPECT_FALSE(run(sink.adopt({})));
}

TEST_F(RedisSinkTest, PassesOnARefusalOfEitherHalf) {
    redis.answers["WAIT"] = {":1", "-NOPERM no WAIT", ":1"};
    redis.answers["EVALSHA"] = {"+OK", "-OOM full"};
    RedisSink sink(context.get_executor(), settings(1), "me");
    run(sink.connect());
    run(sink.adopt({}));

    run(sink.send(batch));
    auto error = error_of<SinkError>([&] { run(sink.accepted()); });
    EXPECT_TRUE(contains(error, "WAIT: NOPERM")) << error;

    run(sink.connect());
    run(sink.send(batch));
    error = error_of<SinkError>([&] { run(sink.accepted()); });
    EXPECT_TRUE(contains(error, "OOM")) << error;
}

// What is still on its way when a script is to be run has its answers passed over.
TEST_F(RedisSinkTest, LeavesInGoodOrderBehindABatch) {
    redis.answers["WAIT"] = {":1", ":0"};
    RedisSink sink(context.get_executor(), settings(1), "me");
    run(sink.connect());
    run(sink.adopt({}));
    run(sink.send(batch));

    run(sink.leave());
    EXPECT_EQ(redis.commands.back().back(), "down");
}

TEST_F(RedisSinkTest, SendsAnEmptyBatchThatLeadsNowhere) {
    batch.before = {.epoch = "e", .sync_id = 7, .lsn = Lsn{0x20}, .partial = PartialTransaction{}};
    batch.after = batch.before;
    RedisSink sink(context.get_executor(), settings(0), "me");
    run(sink.connect());

    run(sink.send(batch));
    EXPECT_TRUE(run(sink.accepted()));
    auto sent = *std::find_if(redis.commands.begin(), redis.commands.end(),
                              [](const auto& words) { return words[0] == "EVALSHA"; });
    auto position = Words{"7", "0/20", "0/0", "0", "0", "0"};
    auto owner = std::find(sent.begin(), sent.end(), "me");
    ASSERT_GT(sent.end() - owner, 15);
    EXPECT_EQ(Words(owner + 1, owner + 7), position);
    EXPECT_EQ(Words(owner + 7, owner + 13), position);
    EXPECT_EQ(Words(owner + 14, sent.end()),
              // No channels, no rules, no transaction, no receipts (which would last an hour), no
              // outputs.
              (Words{"0", "", "", "0", "3600", "", ""}));
}

}  // namespace walcast
