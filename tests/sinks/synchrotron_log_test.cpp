#include "sinks/synchrotron_log.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

const std::string wakeup = R"( {"_tag":"Wakeup","caughtUp":true})";

// One transaction after the other.
class SynchrotronLogTest : public testing::Test {
protected:
    void wrap(std::string channel, const std::string& model, const std::string& data,
              Action kind = Action::insert) {
        ActionView action{.sync_id = ++sync_id_, .action = kind, .model = model, .data = data};
        auto message = message_of({action});
        message.channel = channel;
        log_.wrap(message, published_);
    }
    void add_action(const std::string& id, const std::string& more = R"(,"synced":1)") {
        wrap("actions", R"("action_records")", R"({"id":")" + id + "\"" + more + "}");
    }
    void add_row(const std::string& channel, const std::string& id, const std::string& action) {
        wrap(channel, R"("action_modified_rows")", row(id, action));
    }
    static std::string row(const std::string& id, const std::string& action) {
        return R"({"id":")" + id + R"(","action_record_id":")" + action + R"("})";
    }
    static std::string batch(const std::string& actions, const std::string& rows,
                             const std::string& is_caught_up = "true") {
        return R"( {"_tag":"Batch","caughtUp":)" + is_caught_up + R"(,"actions":[)" + actions +
               R"(],"modifiedRows":[)" + rows + "]}";
    }
    Lines end() {
        log_.end_transaction(published_);
        auto lines = lines_of(published_);
        published_.clear();
        return lines;
    }

    SynchrotronLog log_{{.envelope = EnvelopeKind::synchrotron}};
    Published published_;
    SyncId sync_id_ = 1000;
};

constexpr auto* a1 = R"({"id":"a1","synced":1})";
constexpr auto* a2 = R"({"id":"a2","synced":1})";

}  // namespace

TEST_F(SynchrotronLogTest, TellsEachAudienceItsRowsAndTheirActionsAtTheEnd) {
    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    add_row("audience:u2", "r2", "a1");
    add_action("a2");
    add_row("audience:u1", "r3", "a2");
    EXPECT_EQ(lines_of(published_), Lines{});

    // A client of both has all rows of an action before it begins.
    auto rows = row("r1", "a1") + "," + row("r3", "a2");
    EXPECT_EQ(end(), (Lines{"audience:u1" + batch(std::string(a1) + "," + a2, rows, "false"),
                            "audience:u2" + batch(a1, row("r2", "a1"), "false"),
                            "audience:u1" + batch("", ""), "audience:u2" + batch("", "")}));
}

TEST_F(SynchrotronLogTest, ForgetsATransactionWithItsEnd) {
    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    end();
    EXPECT_EQ(end(), Lines{});

    add_action("a2");
    add_row("audience:u1", "r2", "a2");
    EXPECT_EQ(end(), Lines{"audience:u1" + batch(a2, row("r2", "a2"))});
}

TEST_F(SynchrotronLogTest, SendsEachActionOnceWhateverTheOrderOfItsRows) {
    add_action("a1");
    add_action("a2");
    add_action("a2");
    for (const auto* action : {"a2", "a1", "a2"}) add_row("audience:u1", "r", action);

    EXPECT_EQ(end(), Lines{"audience:u1" +
                           batch(std::string(a1) + "," + a2,
                                 row("r", "a2") + "," + row("r", "a1") + "," + row("r", "a2"))});
}

TEST_F(SynchrotronLogTest, SaysThatAnActionIsSyncedWhereItsTableDoesNot) {
    add_action("a1", "");
    add_row("audience:u1", "r1", "a1");

    EXPECT_EQ(end(), Lines{"audience:u1" + batch(a1, row("r1", "a1"))});
}

// Retention deletes old rows, which clients keep.
TEST_F(SynchrotronLogTest, LooksAtInsertsOfTheLogOnly) {
    add_action("a1");
    wrap("audience:u1", R"("action_modified_rows")", "", Action::remove);
    wrap("audience:u1", R"("action_modified_rows")", row("r1", "a1"), Action::update);
    wrap("audience:u1", R"("notes")", R"({"id":1})");

    EXPECT_EQ(end(), Lines{});
}

TEST_F(SynchrotronLogTest, HasAnAudienceFetchWhatHasNoActionHere) {
    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    add_row("audience:u2", "r2", "a0");

    EXPECT_EQ(end(), (Lines{"audience:u1" + batch(a1, row("r1", "a1"), "false"),
                            "audience:u2" + wakeup, "audience:u1" + batch("", "")}));
}

// After a start in the middle of a transaction, or a row that could not be written.
TEST_F(SynchrotronLogTest, HasAudiencesFetchWhereSomeIsMissing) {
    log_.miss_some(published_);
    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    EXPECT_EQ(end(), Lines{"audience:u1" + wakeup});

    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    log_.miss_some(published_);
    add_row("audience:u2", "r2", "a1");
    EXPECT_EQ(end(), (Lines{"audience:u1" + wakeup, "audience:u2" + wakeup}));

    add_action("a1");
    add_row("audience:u1", "r1", "a1");
    EXPECT_EQ(end(), Lines{"audience:u1" + batch(a1, row("r1", "a1"))});
}

TEST_F(SynchrotronLogTest, HasAudiencesFetchWhatIsTooLargeToKeep) {
    std::string large(SynchrotronLog::bytes_max / 2, 'x');
    add_action("a1", R"(,"args":")" + large + "\"");
    add_row("audience:u1", "r1", "a1");
    add_action("a2", R"(,"args":")" + large + "\"");
    EXPECT_EQ(lines_of(published_), Lines{"audience:u1" + wakeup});
    add_row("audience:u2", "r2", "a2");
    add_row("audience:u1", "r3", "a2");  // It was told already.
    add_row("audience:u2", "r4", "a2");

    EXPECT_EQ(end(), (Lines{"audience:u1" + wakeup, "audience:u2" + wakeup}));
}

}  // namespace walcast
