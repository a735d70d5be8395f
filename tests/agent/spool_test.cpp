#include "agent/spool.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <random>

namespace walcast {

namespace fs = std::filesystem;

class SpoolTest : public testing::Test {
protected:
    SpoolTest() {
        auto name = (fs::temp_directory_path() / "walcast-spool-test-XXXXXX").string();
        directory = mkdtemp(name.data());
    }
    ~SpoolTest() override { fs::remove_all(directory); }

    Spool::Settings settings(std::uint64_t bytes_max = 1ULL << 30U) const {
        return {.directory = directory, .bytes_max = bytes_max};
    }
    static std::vector<std::string> all_of(Spool& spool, std::uint32_t xid) {
        std::vector<std::string> messages;
        auto reader = spool.read(xid);
        for (std::string_view message; reader.next(message);) messages.emplace_back(message);
        return messages;
    }

    std::string directory;
};

using Texts = std::vector<std::string>;

TEST_F(SpoolTest, GivesATransactionsMessagesBackInOrder) {
    Spool spool(settings());
    spool.append(7, 7, 'I', "one");
    spool.append(8, 8, 'I', "other");
    spool.append(7, 9, 'U', "");

    EXPECT_EQ(all_of(spool, 7), (Texts{"Ione", "U"}));
    EXPECT_EQ(all_of(spool, 8), Texts{"Iother"});
    EXPECT_TRUE(all_of(spool, 6).empty());
}

TEST_F(SpoolTest, TakesASubtransactionBackWithAllThatCameAfterItsBeginning) {
    Spool spool(settings());
    spool.append(7, 7, 'I', "kept");
    spool.append(7, 8, 'I', "void");
    spool.append(7, 9, 'I', "its child's");
    spool.append(7, 7, 'M', "a message, which bears the transaction's own xid");

    spool.abort(7, 9);
    EXPECT_EQ(all_of(spool, 7), (Texts{"Ikept", "Ivoid"}));
    spool.abort(7, 8);
    EXPECT_EQ(all_of(spool, 7), Texts{"Ikept"});
    spool.append(7, 10, 'I', "after");
    EXPECT_EQ(all_of(spool, 7), (Texts{"Ikept", "Iafter"}));
}

TEST_F(SpoolTest, LeavesAloneWhatAnUnknownSubtransactionDidNotTouch) {
    Spool spool(settings());
    spool.append(7, 7, 'I', "kept");
    spool.append(7, 12, 'I', "kept too");

    spool.abort(7, 9);
    spool.abort(6, 12);

    EXPECT_EQ(all_of(spool, 7), (Texts{"Ikept", "Ikept too"}));
}

// A parent that makes its first change after its child has made one: the server aborts both.
TEST_F(SpoolTest, TakesAParentBackThatBeganAfterItsChild) {
    Spool spool(settings());
    spool.append(7, 7, 'I', "kept");
    spool.append(7, 11, 'I', "child");
    spool.append(7, 10, 'I', "parent");

    spool.abort(7, 11);
    spool.abort(7, 10);
    spool.append(7, 12, 'I', "after");
    spool.abort(7, 10);

    EXPECT_EQ(all_of(spool, 7), (Texts{"Ikept", "Iafter"}));
}

TEST_F(SpoolTest, ForgetsATransactionThatAbortsOrIsDone) {
    Spool spool(settings());
    spool.append(7, 7, 'I', "one");
    spool.append(8, 8, 'I', "two");

    spool.abort(7, 7);
    spool.drop(8);

    EXPECT_TRUE(all_of(spool, 7).empty());
    EXPECT_TRUE(all_of(spool, 8).empty());
    EXPECT_EQ(spool.bytes(), 0U);
}

TEST_F(SpoolTest, RefusesMoreThanItMayHold) {
    Spool spool(settings(1000));
    spool.append(7, 7, 'I', std::string(900, 'x'));

    EXPECT_THROW(spool.append(8, 8, 'I', std::string(900, 'x')), SpoolError);
}

TEST_F(SpoolTest, CountsWhatATruncationFrees) {
    Spool spool(settings(1000));
    for (auto i = 0U; i < 100; ++i) {
        spool.append(7, 8 + i, 'I', std::string(500, 'x'));
        spool.abort(7, 8 + i);
    }

    EXPECT_EQ(spool.bytes(), 0U);
}

TEST_F(SpoolTest, SaysWhichDirectoryItCannotUse) {
    Spool spool({.directory = directory + "/missing", .bytes_max = 1000});

    try {
        spool.append(7, 7, 'I', "");
        FAIL();
    } catch (const SpoolError& error) {
        EXPECT_NE(std::string(error.what()).find("/missing"), std::string::npos) << error.what();
    }
}

TEST_F(SpoolTest, LeavesNoNameInItsDirectory) {
    Spool spool(settings());
    spool.append(7, 7, 'I', std::string(1'000'000, 'x'));

    EXPECT_TRUE(fs::is_empty(directory));
}

// Against a model that keeps everything: sizes around the buffers' bounds, aborts at any time.
TEST_F(SpoolTest, KeepsExactlyWhatWasNotTakenBack) {
    struct Kept {
        std::uint32_t subxid;
        std::string message;
    };
    std::mt19937 random(4711);
    for (auto round = 0; round < 30; ++round) {
        Spool spool(settings());
        std::vector<Kept> model;
        std::vector<std::uint32_t> open{7};  // The transaction and its open subtransactions.
        std::uint32_t next_xid = 8;
        for (auto step = 0; step < 300; ++step) {
            auto choice = random() % 10;
            if (choice == 0) {
                open.push_back(next_xid++);
            } else if (choice == 1 && open.size() > 1) {
                auto aborted = open.back();
                open.pop_back();
                auto first = std::find_if(model.begin(), model.end(),
                                          [&](const Kept& one) { return one.subxid == aborted; });
                model.erase(first, model.end());
                spool.abort(7, aborted);
            } else {
                auto size = std::size_t{1} << (random() % 19);
                std::string body(size + random() % 7, static_cast<char>('a' + step % 26));
                spool.append(7, open.back(), 'I', body);
                model.push_back({open.back(), "I" + body});
            }
        }
        Texts expected;
        for (auto& one : model) expected.push_back(std::move(one.message));
        EXPECT_EQ(all_of(spool, 7), expected);
    }
}

}  // namespace walcast
