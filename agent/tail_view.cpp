#include "agent/tail_view.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

namespace walcast {

namespace json = simdjson::ondemand;

// On demand, so that only what is asked for is read: a number in somebody's json column may be
// larger than any that C++ has.
struct TailView::Parser {
    json::parser parser;
    simdjson::padded_string text;
    json::document document;

    // The message as an object; false when it is none.
    bool read(std::string_view message, json::object& object) {
        text = simdjson::padded_string(message);
        return parser.iterate(text).get(document) == simdjson::SUCCESS &&
               document.get_object().get(object) == simdjson::SUCCESS;
    }
};

TailView::TailView(Form form, Colours colours)
    : form_(form), colours_(colours), parser_(std::make_unique<Parser>()) {}

TailView::~TailView() = default;

std::optional<TailView::Head> TailView::read_head(std::string_view message) {
    json::object object;
    if (!parser_->read(message, object)) return std::nullopt;
    Head head;
    std::string_view type;
    std::string_view epoch;
    auto is_ours = object["type"].get(type) == simdjson::SUCCESS &&
                   object["epoch"].get(epoch) == simdjson::SUCCESS &&
                   object["prevSyncId"].get(head.prev_sync_id) == simdjson::SUCCESS &&
                   object["lastSyncId"].get(head.last_sync_id) == simdjson::SUCCESS;
    if (!is_ours) return std::nullopt;
    head.type = type;
    head.epoch = epoch;
    return head;
}

// A line of a message: outside of strings JSON may have line ends, inside it cannot.
static void append_one_line(std::string& out, std::string_view message) {
    auto begin = out.size();
    out += message;
    std::replace_if(
        out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
        [](char character) { return character == '\n' || character == '\r'; }, ' ');
    out += '\n';
}

namespace {

constexpr std::size_t channel_width = 14;
constexpr std::size_t action_width = 6;
constexpr std::string_view reset_colour = "\x1b[0m";
constexpr std::string_view dim = "\x1b[2m";
constexpr std::string_view bold = "\x1b[1m";
constexpr std::string_view cyan = "\x1b[36m";
constexpr std::string_view green = "\x1b[32m";
constexpr std::string_view yellow = "\x1b[33m";
constexpr std::string_view red = "\x1b[31m";
constexpr std::string_view magenta = "\x1b[35m";

std::string_view colour_of(std::string_view action) {
    if (action == "insert") return green;
    if (action == "delete") return red;
    return yellow;
}

// Row data is anybody's: what could steer a terminal becomes visible.
void append_harmless(std::string& out, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        auto is_c1 = byte == 0xC2 && i + 1 < text.size() &&
                     static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                     static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if (is_c1) ++i;
        if (is_c1 || byte == 0x7F || byte < 0x20)
            out += byte == '\n' || byte == '\r' || byte == '\t' ? " " : "?";
        else
            out += text[i];
    }
}

class Line {
public:
    Line(std::string& out, bool is_coloured) : out_(out), is_coloured_(is_coloured) {}

    Line& add(std::string_view text, std::string_view colour = {}, std::size_t width = 0) {
        auto is_painted = is_coloured_ && !colour.empty();
        if (is_painted) out_ += colour;
        append_harmless(out_, text);
        if (is_painted) out_ += reset_colour;
        auto count = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0xC0U) != 0x80;
        }));
        if (count < width) out_.append(width - count, ' ');
        if (!text.empty()) out_ += ' ';
        return *this;
    }
    void end() {
        while (out_.ends_with(' ')) out_.pop_back();
        out_ += '\n';
    }

private:
    std::string& out_;
    bool is_coloured_;
};

// A member's text or number; empty when there is none.
std::string text_of(json::object& object, const char* key) {
    std::string_view text;
    if (object[key].get(text) == simdjson::SUCCESS) return std::string(text);
    std::uint64_t number = 0;
    if (object[key].get(number) == simdjson::SUCCESS) return fmt::to_string(number);
    return {};
}

// A member as it is written; empty when there is none.
template <typename Kind>
std::string_view raw_of(json::object& object, const char* key) {
    Kind found;
    std::string_view raw;
    if (object[key].get(found) != simdjson::SUCCESS ||
        found.raw_json().get(raw) != simdjson::SUCCESS)
        return {};
    return raw;
}

}  // namespace

std::string_view TailView::render(std::string_view channel, std::string_view message) {
    out_.clear();
    json::object object;
    if (form_ == Form::json || !parser_->read(message, object)) {
        append_one_line(out_, message);
        return out_;
    }
    auto is_coloured = colours_ == Colours::ansi;
    auto time = text_of(object, "commitTime");
    auto clock = time.size() >= 23 ? time.substr(11, 12) : std::string(12, ' ');
    json::array actions;
    if (object["sync"].get(actions) != simdjson::SUCCESS) {
        Line line(out_, is_coloured);
        line.add(clock, dim).add(channel, cyan, channel_width);
        line.add(text_of(object, "type"), magenta, action_width);
        line.add(text_of(object, "modelName"), bold).add(text_of(object, "name"), bold);
        line.add(text_of(object, "reason")).add("#" + text_of(object, "lastSyncId"), dim).end();
        return out_;
    }
    for (auto item : actions) {
        json::object action;
        if (item.get(action) != simdjson::SUCCESS) continue;
        auto kind = text_of(action, "action");
        Line line(out_, is_coloured);
        line.add(clock, dim)
            .add(channel, cyan, channel_width)
            .add(kind, colour_of(kind), action_width);
        line.add(text_of(action, "modelName"), bold).add(text_of(action, "modelId"), bold);
        if (auto data = raw_of<json::object>(action, "data"); !data.empty()) line.add(data);
        for (const auto* gap : {"unchanged", "omitted"})
            if (auto keys = raw_of<json::array>(action, gap); !keys.empty())
                line.add(fmt::format("{}={}", gap, keys), dim);
        line.add("#" + text_of(action, "syncId"), dim).end();
    }
    return out_;
}

}  // namespace walcast
