#include "agent/delta/chorus_page.hpp"

#include "decoders/json_string.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace walcast {

// A message of 2026-11-21, at this time; its last action is the one with `last`.
static std::string message(SyncId last, const std::string& actions,
                           std::string_view time = "04:10:24.870123") {
    return fmt::format(
        R"({{"type":"sync","epoch":"k3","prevSyncId":1,"lastSyncId":{},"lsn":"0/1","xid":7,)"
        R"("commitTime":"2026-11-21T{}Z","mutationId":"m-1","sync":[{}]}})",
        last, time, actions);
}

static std::string reset(SyncId id, const std::string& model) {
    auto name = model.empty() ? "" : fmt::format(R"(,"modelName":"{}")", model);
    return fmt::format(
        R"({{"type":"reset","epoch":"k3","prevSyncId":1,"lastSyncId":{}{},"reason":"x"}})", id,
        name);
}

static std::string put(SyncId id, std::string_view row, std::string_view more = "",
                       std::string_view model = "todos", std::string_view action = "insert") {
    return fmt::format(
        R"({{"syncId":{0},"action":"{4}","modelName":"{3}","modelId":"{1}","data":{{"id":{1}}}{2}}})",
        id, row, more, model, action);
}

static std::string removal(SyncId id, std::string_view row) {
    return fmt::format(R"({{"syncId":{},"action":"delete","modelName":"todos","modelId":"{}"}})",
                       id, row);
}

static const UuidParts cursor{.clock = Timestamp{std::chrono::milliseconds{0x01a1'fc4c'5ae5}},
                              .sync_id = 0x410,
                              .ordinal = 0};

struct PageCase {
    explicit PageCase(std::optional<UuidParts> until = std::nullopt,
                      std::size_t bytes_max = std::size_t{1} << 20U)
        : page({.model = "todos", .after = cursor, .until = until, .bytes_max = bytes_max},
               [](std::string& out, std::string_view id) {
                   if (id == "broken") throw ValueError("broken");
                   out += fmt::format(R"({{"id":{}}})", id);
               }) {}
    PageCase& add(const std::string& text) {
        page.add(text);
        return *this;
    }
    // What the page has: `update 7`, `delete 8`; or why there is none.
    std::vector<std::string> operations() {
        auto text = finish();
        if (page.refusal()) return {std::string(page.refusal()->reason)};
        std::vector<std::string> found;
        constexpr std::string_view key = R"("record_id":)";
        for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at)) {
            at += key.size();
            auto comma = text.find(',', at);
            auto begin = text.find(R"("operation":")", at) + 13;
            found.push_back(text.substr(begin, text.find('"', begin) - begin) + ' ' +
                            text.substr(at, comma - at));
        }
        return found;
    }
    std::string finish() { return page.finish(0x500, {}); }

    ChorusPage page;
};

using Operations = std::vector<std::string>;

TEST(ChorusPage, HasHarmonicsAsTheyAreLive) {
    auto page = PageCase()
                    .add(message(0x411, put(0x411, "7")))
                    .add(message(0x412, removal(0x412, "8"), "04:10:25"))
                    .finish();

    EXPECT_EQ(page,
              R"({"latest_harmonic_id":"01a1fc4c-5b68-7000-8000-0000000500ff","harmonics":[)"
              R"({"id":"01a1fc4c-5ae6-7000-8000-000000041100","table_name":"todos","record_id":7,)"
              R"("operation":"update","data":"{\"id\":7}","user_id":null,)"
              R"("created_at":"2026-11-21 04:10:24"},)"
              R"({"id":"01a1fc4c-5b68-7000-8000-000000041200","table_name":"todos","record_id":8,)"
              R"("operation":"delete","data":"{\"id\":8}","user_id":null,)"
              R"("created_at":"2026-11-21 04:10:25"}]})"
              "\n");
}

TEST(ChorusPage, SaysOfEachRecordTheLastOnly) {
    EXPECT_EQ(PageCase()
                  .add(message(0x413, put(0x411, "7") + ',' + put(0x412, "8") + ',' +
                                          put(0x413, "7", "", "todos", "update")))
                  .add(message(0x415, removal(0x414, "8") + ',' + put(0x415, "9")))
                  .add(message(0x416, removal(0x416, "9")))
                  .add(message(0x417, put(0x417, "9")))
                  .operations(),
              (Operations{"update 7", "delete 8", "update 9"}));
    EXPECT_EQ(PageCase().operations(), Operations{});
}

TEST(ChorusPage, BeginsInTheMidstOfAMessage) {
    EXPECT_EQ(
        PageCase()
            .add(message(0x411, put(0x409, "6") + ',' + put(0x410, "7") + ',' + put(0x411, "8")))
            .operations(),
        Operations{"update 8"});
}

TEST(ChorusPage, HasNothingOfOtherModelsNorEvents) {
    EXPECT_EQ(PageCase()
                  .add(message(0x411, put(0x411, "7", "", "notes")))
                  .add(R"({"type":"event","epoch":"k3","prevSyncId":1,"lastSyncId":1042,)"
                       R"("name":"todos","rejected":true,"data":{"sync":[]}})")
                  .add(reset(0x413, "notes"))
                  .operations(),
              Operations{});
}

TEST(ChorusPage, IsRefusedAfterAReset) {
    EXPECT_EQ(PageCase().add(reset(0x411, "todos")).operations(), Operations{"reset"});
    EXPECT_EQ(PageCase().add(reset(0x411, "")).operations(), Operations{"reset"});
}

// Its client would lose the columns; the rows that it fetches afresh have them.
TEST(ChorusPage, IsRefusedWhereARowIsNotWholeAtTheEnd) {
    for (const auto* more : {R"(,"unchanged":["body"])", R"(,"dataKind":"delta")"}) {
        EXPECT_EQ(PageCase().add(message(0x411, put(0x411, "7", more))).operations(),
                  Operations{"incomplete"});
        EXPECT_EQ(PageCase()
                      .add(message(0x412, put(0x411, "7", more) + ',' + put(0x412, "7")))
                      .operations(),
                  Operations{"update 7"});
    }
    EXPECT_EQ(PageCase().add(message(0x411, removal(0x411, "broken"))).operations(),
              Operations{"incomplete"});
}

TEST(ChorusPage, LeavesOutWhatIsTooLargeAsLiveHarmonicsDo) {
    EXPECT_EQ(
        PageCase()
            .add(message(0x412, put(0x411, "7") + ',' + put(0x412, "7", R"(,"omitted":["body"])")))
            .operations(),
        Operations{"update 7"});
}

TEST(ChorusPage, TakesTheLastIdWhereHistoriesCoverEachOther) {
    EXPECT_EQ(PageCase()
                  .add(message(0x414, put(0x411, "6") + ',' + put(0x414, "7")))
                  .add(message(0x415, removal(0x413, "7") + ',' + put(0x415, "8")))
                  .operations(),
              (Operations{"update 6", "update 7", "update 8"}));
}

TEST(ChorusPage, GivesIdsThatRiseAboveTheCursor) {
    // The clock of the server went back.
    auto page = PageCase()
                    .add(message(0x411, put(0x411, "7"), "03:00:00"))
                    .add(message(0x412, put(0x412, "8") + ',' + put(0x412, "9"), "04:10:24.9"))
                    .add(message(0x413, put(0x413, "1"), "04:10:23"))
                    .finish();

    std::string before = "01a1fc4c-5ae5-7000-8000-000000041000";
    constexpr std::string_view key = R"({"id":")";
    auto count = 0;
    for (auto at = page.find(key); at != std::string::npos; at = page.find(key, at + 1)) {
        auto id = page.substr(at + key.size(), 36);
        EXPECT_LT(before, id);
        before = id;
        ++count;
    }
    EXPECT_EQ(count, 4);
    EXPECT_LT(before, page.substr(page.find(':') + 2, 36));
}

TEST(ChorusPage, EndsWhereItIsToldTo) {
    UuidParts until{.clock = cursor.clock, .sync_id = 0x412, .ordinal = 255};
    PageCase one(until);
    one.add(message(0x413, put(0x412, "7") + ',' + put(0x413, "8"))).add(reset(0x414, "todos"));

    EXPECT_EQ(one.operations(), Operations{"update 7"});
    EXPECT_EQ(one.finish().substr(0, 60),
              R"({"latest_harmonic_id":"01a1fc4c-5ae5-7000-8000-0000000412ff")");
}

TEST(ChorusPage, StaysAtACursorThatIsFurther) {
    UuidParts until{.clock = cursor.clock, .sync_id = 0x409, .ordinal = 255};

    EXPECT_EQ(PageCase(until).add(message(0x411, put(0x411, "7"))).finish(),
              R"({"latest_harmonic_id":"01a1fc4c-5ae5-7000-8000-000000041000","harmonics":[]})"
              "\n");
}

TEST(ChorusPage, IsBoundedByWhatItHolds) {
    PageCase one({}, 2000);
    for (SyncId id = 0x411; id < 0x500; ++id) one.add(message(id, put(id, "7")));
    EXPECT_EQ(one.operations(), Operations{"update 7"});

    PageCase many({}, 2000);
    for (SyncId id = 0x411; id < 0x500; ++id) many.add(message(id, put(id, fmt::to_string(id))));
    EXPECT_EQ(many.operations(), Operations{"too_large"});
}

TEST(ChorusRecords, AreTheRowsOfABootstrap) {
    ChorusRecords records(std::nullopt);
    std::string lines =
        R"({"type":"bootstrap","epoch":"k3","lastSyncId":1042,"visible":[[1044,1045]]}
{"modelName":"todos","modelId":"7","data":{"id":7,"title":"}\n"}}
{"modelName":"todos","modelId":"8","channels":["a","b"],"data":{"id":8}}
{"type":"mark","rows":2,"after":"x"}
)";
    std::string more = R"({"modelName":"todos","modelId":"9","data":{"id":9},"omitted":["body"]}
{"modelName":"todos","modelId":"10","data":{"id":10}}
{"type":"end","rows":4}
)";
    records.rewrite(lines);
    records.rewrite(more);

    EXPECT_EQ(lines + more,
              R"({"latest_harmonic_id":"00000000-0000-7000-8000-0000000412ff","records":[)"
              R"({"id":7,"title":"}\n"},{"id":8},{"id":10}]})"
              "\n");
}

TEST(ChorusRecords, BearTheIdThatAllPagesOfAClientShare) {
    ChorusRecords records(cursor);
    std::string lines = R"({"type":"bootstrap","epoch":"k3","lastSyncId":1042,"visible":[]}
{"type":"end","rows":0}
)";
    records.rewrite(lines);

    EXPECT_EQ(lines, R"({"latest_harmonic_id":"01a1fc4c-5ae5-7000-8000-000000041000","records":[]})"
                     "\n");
}

}  // namespace walcast
