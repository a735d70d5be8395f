#include "agent/tail/tail_view.hpp"

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

TEST(TailViewText, HasALineForAnEvent) {
    EXPECT_EQ(
        as_text("w:1", R"({"type":"event","epoch":"e","prevSyncId":1,"lastSyncId":2,"lsn":"0/1",)"
                       R"("mutationId":"m-1","name":"note","data":{"a":1}})"),
        "             w:1            event  note {\"a\":1} mutation=m-1 #2\n");
    EXPECT_EQ(
        as_text("w:1", R"({"type":"event","epoch":"e","prevSyncId":1,"lastSyncId":2,"lsn":"0/1",)"
                       R"("mutationId":"m-1","reason":"no title","rejected":true})"),
        "             w:1            event  rejected: no title mutation=m-1 #2\n");
}

TEST(TailViewText, SaysWhoseAChangeIs) {
    auto annotated = message;
    annotated.replace(annotated.find(",\"sync\""), 0, R"(,"mutationId":"m-1")");

    EXPECT_NE(as_text("w:1", annotated).find("mutation=m-1 #1042"), std::string::npos);
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

    EXPECT_NE(shown.find("{} a=(unchanged) b=(omitted: too large) c=(omitted: too large) #1\n"),
              std::string::npos)
        << shown;
}

TEST(TailViewText, SaysWhetherDataIsWhatChangedOrAPatch) {
    auto with_kind = [](std::string_view kind, std::string_view data) {
        return R"({"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":1,"sync":[{"syncId":1,)"
               R"("action":"update","modelName":"Todo","modelId":"7","dataKind":")" +
               std::string(kind) + R"(","data":)" + std::string(data) + "}]}";
    };

    EXPECT_NE(as_text("w:1", with_kind("delta", R"({"done":true})"))
                  .find(R"(update Todo 7 changed {"done":true} #1)"),
              std::string::npos);
    EXPECT_NE(as_text("w:1", with_kind("patch", R"([{"op":"remove","path":"/a"}])"))
                  .find(R"(update Todo 7 patch [{"op":"remove","path":"/a"}] #1)"),
              std::string::npos);
}

// --- moves ---

// A message of transaction `xid` with one action.
static std::string one_action(SyncId id, std::string_view action, std::string_view model_id,
                              int xid = 738) {
    auto data = action == "delete" ? "" : R"(,"data":{})";
    return R"({"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":)" + std::to_string(id) +
           R"(,"xid":)" + std::to_string(xid) + R"(,"sync":[{"syncId":)" + std::to_string(id) +
           R"(,"action":")" + std::string(action) + R"(","modelName":"Todo","modelId":")" +
           std::string(model_id) + "\"" + data + "}]}";
}

static std::string last_of(TailView& view, std::string_view channel, const std::string& text) {
    std::string line(view.render(channel, text));
    return line.substr(line.find("Todo"));
}

TEST(TailViewText, SaysWhereARowCameFromThatMoved) {
    TailView view(TailView::Form::text, TailView::Colours::none);
    view.render("w:1", one_action(1042, "delete", "7"));
    view.render("v:1", one_action(1042, "delete", "7"));

    EXPECT_EQ(last_of(view, "w:2", one_action(1043, "insert", "7")),
              "Todo 7 {} (moved here from w:1, v:1: #1042) #1043\n");
    EXPECT_EQ(last_of(view, "all", one_action(1043, "update", "7")),
              "Todo 7 {} (left w:1, v:1: #1042) #1043\n");
}

TEST(TailViewText, TakesNothingElseForAMove) {
    struct Second {
        std::string channel;
        std::string message;
    };
    for (const auto& second : {Second{"w:2", one_action(1044, "insert", "7")},
                               {"w:2", one_action(1043, "insert", "8")},
                               {"w:2", one_action(1043, "insert", "7", 739)},
                               {"w:1", one_action(1043, "insert", "7")},
                               {"w:2", one_action(1043, "delete", "7")}}) {
        TailView view(TailView::Form::text, TailView::Colours::none);
        view.render("w:1", one_action(1042, "delete", "7"));

        auto shown = last_of(view, second.channel, second.message);

        EXPECT_EQ(shown.find('('), std::string::npos) << shown;
    }
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

// --- filters ---

static std::string filtered(TailView::Form form, const TailFilter& filter, std::string_view text) {
    TailView view(form, TailView::Colours::none, filter);
    return std::string(view.render("w:1", text));
}

static const std::string message_head =
    R"({"type":"sync","epoch":"k3v9x2m7","prevSyncId":1017,"lastSyncId":1043,"lsn":"0/16B3748",)"
    R"("xid":738,"commitTime":"2026-11-21T04:10:24.870123Z","sync":[)";
static const std::string updated =
    R"({"syncId":1042,"action":"update","modelName":"Todo","modelId":"7","data":{"id":7,"done":false}})";
static const std::string deleted =
    R"({"syncId":1043,"action":"delete","modelName":"Todo","modelId":"9"})";

TEST(TailFilter, LeavesOfAMessageTheActionsThatAreWanted) {
    auto json = TailView::Form::json;

    EXPECT_EQ(filtered(json, {.actions = {"update"}}, message), message_head + updated + "]}\n");
    EXPECT_EQ(filtered(json, {.actions = {"delete"}}, message), message_head + deleted + "]}\n");
    EXPECT_EQ(filtered(json, {.actions = {"delete", "update"}}, message), message + '\n');
    EXPECT_EQ(filtered(json, {.actions = {"insert"}}, message), "");
}

TEST(TailFilter, LeavesALineOfTextForEachActionThatIsWanted) {
    EXPECT_EQ(filtered(TailView::Form::text, {.actions = {"delete"}}, message),
              "04:10:24.870 w:1            delete Todo 9 #1043\n");
}

TEST(TailFilter, TakesAlternativesOfAKindAndWantsAllKinds) {
    auto json = TailView::Form::json;

    EXPECT_EQ(filtered(json, {.models = {"User", "To*"}}, message), message + '\n');
    EXPECT_EQ(filtered(json, {.models = {"User"}}, message), "");
    EXPECT_EQ(filtered(json, {.xids = {7, 738}}, message), message + '\n');
    EXPECT_EQ(filtered(json, {.xids = {73}}, message), "");
    EXPECT_EQ(filtered(json, {.models = {"Todo"}, .xids = {73}}, message), "");
    EXPECT_EQ(filtered(json, {.mutation_ids = {"m-71"}}, message), "");
}

TEST(TailFilter, FindsTheMutationIdWhereverItStands) {
    auto annotated = message;
    annotated.insert(1, R"("mutationId":"m-71",)");
    auto behind = message;
    behind.insert(message.size() - 1, R"(,"mutationId":"m-71" )");

    for (const auto& text : {annotated, behind}) {
        EXPECT_EQ(filtered(TailView::Form::json, {.mutation_ids = {"m-71"}}, text), text + '\n');
        EXPECT_EQ(filtered(TailView::Form::json, {.mutation_ids = {"m-7"}}, text), "");
    }
}

TEST(TailFilter, TakesAResetOfEverythingForOneOfEachModel) {
    std::string all = R"({"type":"reset","epoch":"e","prevSyncId":5,"lastSyncId":5,"reason":"x"})";
    std::string one =
        R"({"type":"reset","epoch":"e","prevSyncId":5,"lastSyncId":5,"modelName":"Todo","xid":7})";
    auto json = TailView::Form::json;

    EXPECT_EQ(filtered(json, {.models = {"Todo"}}, all), all + '\n');
    EXPECT_EQ(filtered(json, {.models = {"Todo"}}, one), one + '\n');
    EXPECT_EQ(filtered(json, {.models = {"User"}}, one), "");
    EXPECT_EQ(filtered(json, {.actions = {"reset"}}, one), one + '\n');
    EXPECT_EQ(filtered(json, {.actions = {"delete"}}, one), "");
    EXPECT_EQ(filtered(json, {.xids = {7}}, all), "");
}

TEST(TailFilter, ShowsNothingThatIsNoMessageOrOfNoAction) {
    for (const auto* other :
         {"hello", "{}", R"({"type":"sync","epoch":"e","prevSyncId":1,"lastSyncId":5,"sync":[]})",
          R"({"type":"event","epoch":"e","prevSyncId":1,"lastSyncId":5,"name":"n"})"})
        for (auto form : {TailView::Form::json, TailView::Form::text})
            EXPECT_EQ(filtered(form, {.models = {"*"}}, other), "") << other;
}

TEST(TailFilter, EndsForMessagesCutAtAnyByte) {
    for (std::size_t size = 0; size < message.size(); ++size)
        EXPECT_EQ(filtered(TailView::Form::json, {.models = {"*"}}, message.substr(0, size)), "");
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
