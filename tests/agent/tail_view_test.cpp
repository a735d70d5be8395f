#include "agent/tail_view.hpp"

#include "tests/support/random_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace walcast {

static const std::string message =
    R"({"type":"sync","epoch":"k3v9x2m7","prevSyncId":1017,"lastSyncId":1043,"lsn":"0/16B3748",)"
    R"("xid":738,"commitTime":"2026-11-21T04:10:24.870123Z","sync":[)"
    R"({"syncId":1042,"action":"update","modelName":"Todo","modelId":"7","data":{"id":7,"done":false}},)"
    R"({"syncId":1043,"action":"delete","modelName":"Todo","modelId":"9"}]})";

static std::string render(TailView::Form form, std::string_view channel, std::string_view text,
                          TailView::Colours colours = TailView::Colours::none) {
    TailView view(form, colours);
    return std::string(view.render(channel, text));
}

static std::string as_text(std::string_view channel, std::string_view text) {
    return render(TailView::Form::text, channel, text);
}

// A message with one action, whose `data` is given.
static std::string with_data(std::string_view data) {
    return R"({"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":1,"sync":[)"
           R"({"syncId":1,"action":"insert","modelName":"Todo","modelId":"7","data":)" +
           std::string(data) + "}]}";
}

// --- JSON ---

TEST(TailViewJson, IsTheMessageOnALine) {
    EXPECT_EQ(render(TailView::Form::json, "w:1", message), message + '\n');
}

TEST(TailViewJson, IsOneLineThoughAJsonColumnHasLineEnds) {
    auto shown = render(TailView::Form::json, "w:1", with_data("{\"a\":\r\n{\n}}"));

    EXPECT_EQ(shown, with_data("{\"a\":  { }}") + '\n');
}

TEST(TailViewJson, HasNoColours) {
    EXPECT_EQ(render(TailView::Form::json, "w:1", message, TailView::Colours::ansi),
              message + '\n');
}

// --- text ---

TEST(TailViewText, HasALineForEachAction) {
    EXPECT_EQ(as_text("w:1", message),
              "04:10:24.870 w:1            update Todo 7 {\"id\":7,\"done\":false} #1042\n"
              "04:10:24.870 w:1            delete Todo 9 #1043\n");
}

TEST(TailViewText, HasALineForAReset) {
    auto reset =
        R"({"type":"reset","epoch":"e","prevSyncId":1,"lastSyncId":5,"lsn":"0/1","xid":1,)"
        R"("commitTime":"2026-11-21T04:11:00.000000Z","modelName":"Todo","reason":"truncate"})";

    EXPECT_EQ(as_text("walcast:control", reset),
              "04:11:00.000 walcast:control reset  Todo truncate #5\n");
}

TEST(TailViewText, HasALineForAResetOfTheEpoch) {
    auto reset = R"({"type":"reset","epoch":"e","prevSyncId":5,"lastSyncId":5,"reason":"lost"})";

    auto shown = as_text("w:1", reset);

    EXPECT_EQ(shown, "             w:1            reset  lost #5\n");
}

TEST(TailViewText, SaysWhatIsUnchangedAndOmitted) {
    auto shown = as_text(
        "w:1", R"({"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":1,"sync":[{"syncId":1,)"
               R"("action":"update","modelName":"Todo","modelId":"7","data":{},"unchanged":["a"],)"
               R"("omitted":["b","c"]}]})");

    EXPECT_NE(shown.find(R"(unchanged=["a"] omitted=["b","c"])"), std::string::npos) << shown;
}

TEST(TailViewText, HasNoLineForMereProgress) {
    EXPECT_EQ(
        as_text("w:1", R"({"type":"sync","epoch":"e","prevSyncId":1,"lastSyncId":5,"sync":[]})"),
        "");
}

TEST(TailViewText, TakesNumbersThatNoTypeCanHold) {
    auto shown = as_text("w:1", with_data(R"({"n":123456789012345678901234567890,"f":1e999})"));

    EXPECT_NE(shown.find(R"({"n":123456789012345678901234567890,"f":1e999})"), std::string::npos)
        << shown;
}

TEST(TailViewText, IsColouredOnlyWhenAsked) {
    auto plain = as_text("w:1", message);
    auto coloured = render(TailView::Form::text, "w:1", message, TailView::Colours::ansi);

    EXPECT_EQ(plain.find('\x1b'), std::string::npos);
    EXPECT_NE(coloured.find("\x1b[33mupdate\x1b[0m"), std::string::npos) << coloured;
    EXPECT_NE(coloured.find("\x1b[31mdelete\x1b[0m"), std::string::npos) << coloured;
}

TEST(TailViewText, LooksTheSameUnderItsColours) {
    auto coloured = render(TailView::Form::text, "w:1", message, TailView::Colours::ansi);

    std::string bare;
    for (std::size_t i = 0; i < coloured.size(); ++i) {
        if (coloured[i] != '\x1b')
            bare += coloured[i];
        else
            i = coloured.find('m', i);
    }

    EXPECT_EQ(bare, as_text("w:1", message));
}

// --- terminals ---

// What could steer a terminal: C0 but for the line's end, DEL, and C1, raw or as UTF-8.
static bool is_harmless(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        if ((byte < 0x20 && byte != '\n') || byte == 0x7F) return false;
        if (byte == 0xC2 && next >= 0x80 && next < 0xA0) return false;
    }
    return true;
}

TEST(TailViewText, MakesEscapesInAChannelHarmless) {
    EXPECT_TRUE(is_harmless(as_text("w:\x1b]0;title\x07\xc2\x9b\x7f", message)));
}

TEST(TailViewText, MakesEscapesInARowHarmless) {
    auto shown = as_text("w:1", with_data(R"({"a":"\u001b[2J)"
                                          "\x7f\xc2\x9b"
                                          R"(31m"})"));

    EXPECT_TRUE(is_harmless(shown)) << shown;
}

TEST(TailViewText, MakesEscapesInAnIdHarmless) {
    auto shown = as_text(
        "w:1", R"({"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":1,"sync":[{"syncId":1,)"
               R"("action":"delete","modelName":"\u001b[2J","modelId":"\u009b2J\u0007\n\r"}]})");

    EXPECT_TRUE(is_harmless(shown)) << shown;
    EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 1) << shown;
}

// Anybody may publish anything on a channel that matches a pattern.
TEST(TailViewText, MakesEscapesInWhatIsNoMessageHarmless) {
    for (const auto* text : {"\x1b]0;title\x07", "{\x1b[2J",
                             "hello \xc2\x9b"
                             "2J\x7f",
                             "\xff\x1b[2J"}) {
        auto shown = as_text("chat", text);

        EXPECT_TRUE(is_harmless(shown)) << testing::PrintToString(shown);
    }
}

TEST(TailViewText, KeepsCharactersBeyondAscii) {
    auto shown = as_text("räume:é", with_data(R"({"a":"Größe 漢 😀"})"));

    EXPECT_NE(shown.find("räume:é"), std::string::npos) << shown;
    EXPECT_NE(shown.find("Größe 漢 😀"), std::string::npos) << shown;
}

TEST(TailViewText, AlignsChannelsByTheirCharacters) {
    auto ascii = as_text("raume:e", with_data("{}"));
    auto others = as_text("räume:é", with_data("{}"));

    EXPECT_EQ(others.size(), ascii.size() + 2);
}

// --- what is no message ---

TEST(TailViewText, ShowsWhatIsNoMessageOnALine) {
    EXPECT_EQ(as_text("chat", "hello\nthere"), "hello there\n");
    EXPECT_EQ(as_text("chat", ""), "\n");
    EXPECT_EQ(as_text("chat", "[1,2]"), "[1,2]\n");
}

TEST(TailViewText, EndsForMessagesCutAtAnyByte) {
    TailView view(TailView::Form::text, TailView::Colours::none);
    for (std::size_t size = 0; size < message.size(); ++size) {
        auto shown = view.render("w:1", std::string_view(message).substr(0, size));

        EXPECT_TRUE(shown.empty() || shown.ends_with('\n')) << size;
    }
}

TEST(TailViewText, IsHarmlessWhateverTheBytes) {
    auto seed = test_seed();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("WALCAST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    TailView view(TailView::Form::text, TailView::Colours::none);

    for (auto i = 0; i < 3000; ++i) {
        auto broken = message;
        flip_bits(broken, random);
        broken.resize(broken.size() - random() % broken.size() * (random() % 2));

        EXPECT_TRUE(is_harmless(view.render("w:1", broken))) << testing::PrintToString(broken);
        view.read_head(broken);
    }
}

// --- heads ---

TEST(TailView, ReadsWhatKeepsAReadersPlace) {
    TailView view(TailView::Form::json, TailView::Colours::none);

    auto head = view.read_head(message);

    ASSERT_TRUE(head);
    EXPECT_EQ(head->type, "sync");
    EXPECT_EQ(head->epoch, "k3v9x2m7");
    EXPECT_EQ(head->prev_sync_id, 1017U);
    EXPECT_EQ(head->last_sync_id, 1043U);
}

TEST(TailView, TakesNothingElseForAMessage) {
    TailView view(TailView::Form::json, TailView::Colours::none);
    for (const auto* other : {"", "hello", "[]", "7", "{}", R"({"type":"sync"})",
                              R"({"type":"sync","epoch":"e","prevSyncId":1})",
                              R"({"type":1,"epoch":"e","prevSyncId":1,"lastSyncId":2})",
                              R"({"type":"sync","epoch":"e","prevSyncId":null,"lastSyncId":2})",
                              R"({"type":"sync","epoch":"e","prevSyncId":-1,"lastSyncId":2})",
                              R"({"type":"sync","epoch":"e","prevSyncId":"1","lastSyncId":2})",
                              R"({"type":"sync","epoch":"e","prevSyncId":1,"lastSyncId":)"})
        EXPECT_FALSE(view.read_head(other)) << other;
}

}  // namespace walcast
