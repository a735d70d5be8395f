#include "agent/tail_view.hpp"

#include "agent/harmless.hpp"

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

// Calls `see` with each member's name and value. One pass, in order, that ends at the first error:
// looking members up by name, simdjson may search a broken object for ever. False when it is
// broken.
template <typename See>
static bool for_each_member(json::object object, See see) {
    for (auto member : object) {
        std::string_view name;
        json::value value;
        if (member.unescaped_key().get(name) != simdjson::SUCCESS) return false;
        if (member.value().get(value) != simdjson::SUCCESS) return false;
        if (!see(name, value)) return false;
    }
    return true;
}

std::optional<TailView::Head> TailView::read_head(std::string_view message) {
    json::object object;
    if (!parser_->read(message, object)) return std::nullopt;
    Head head;
    auto found = 0;
    auto is_whole = for_each_member(object, [&](std::string_view name, json::value value) {
        std::string_view text;
        auto error = simdjson::SUCCESS;
        if (name == "type" || name == "epoch") {
            error = value.get(text);
            (name == "type" ? head.type : head.epoch) = text;
            ++found;
        } else if (name == "prevSyncId" || name == "lastSyncId") {
            error = value.get(name == "prevSyncId" ? head.prev_sync_id : head.last_sync_id);
            ++found;
        }
        return error == simdjson::SUCCESS;
    });
    if (!is_whole || found != 4) return std::nullopt;
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

template <typename Kind>
bool raw_of(json::value value, std::string& out) {
    Kind found;
    std::string_view raw;
    if (value.get(found) != simdjson::SUCCESS || found.raw_json().get(raw) != simdjson::SUCCESS)
        return false;
    out = raw;
    return true;
}

// A value as text: a string without its quotes, anything else as it is written. False when it is
// broken.
bool text_of(json::value value, std::string& out) {
    json::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type == json::json_type::object) return raw_of<json::object>(value, out);
    if (type == json::json_type::array) return raw_of<json::array>(value, out);
    if (type != json::json_type::string) {
        out = value.raw_json_token();
        return true;
    }
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return false;
    out = text;
    return true;
}

// The members of an action or of a message that are shown.
struct Shown {
    std::string type, model_name, model_id, name, reason, data, unchanged, omitted, id, commit_time;
};

std::string* member_of(Shown& shown, std::string_view name) {
    if (name == "type" || name == "action") return &shown.type;
    if (name == "modelName") return &shown.model_name;
    if (name == "modelId") return &shown.model_id;
    if (name == "name") return &shown.name;
    if (name == "reason") return &shown.reason;
    if (name == "data") return &shown.data;
    if (name == "unchanged") return &shown.unchanged;
    if (name == "omitted") return &shown.omitted;
    if (name == "syncId" || name == "lastSyncId") return &shown.id;
    if (name == "commitTime") return &shown.commit_time;
    return nullptr;
}

}  // namespace

// What is no message, on a terminal.
std::string_view TailView::show_as_it_is(std::string_view text) {
    out_.clear();
    append_harmless(out_, text);
    out_ += '\n';
    return out_;
}

std::string_view TailView::render(std::string_view channel, std::string_view message) {
    out_.clear();
    json::object object;
    if (form_ == Form::json) {
        append_one_line(out_, message);
        return out_;
    }
    if (!parser_->read(message, object)) return show_as_it_is(message);
    auto is_coloured = colours_ == Colours::ansi;
    auto begin_line = [&](const Shown& whole, const Shown& shown, std::string_view colour) {
        auto has_time = whole.commit_time.size() >= 23;
        Line line(out_, is_coloured);
        line.add(has_time ? whole.commit_time.substr(11, 12) : std::string(12, ' '), dim);
        line.add(channel, cyan, channel_width).add(shown.type, colour, action_width);
        line.add(shown.model_name, bold);
        return line;
    };
    Shown whole;
    auto has_actions = false;
    auto show_action = [&](json::value item) {
        json::object action;
        Shown shown;
        if (item.get(action) != simdjson::SUCCESS) return false;
        auto is_whole = for_each_member(action, [&](std::string_view name, json::value value) {
            auto* member = member_of(shown, name);
            return member == nullptr || text_of(value, *member);
        });
        if (!is_whole) return false;
        auto line = begin_line(whole, shown, colour_of(shown.type));
        line.add(shown.model_id, bold).add(shown.data);
        if (!shown.unchanged.empty()) line.add("unchanged=" + shown.unchanged, dim);
        if (!shown.omitted.empty()) line.add("omitted=" + shown.omitted, dim);
        line.add("#" + shown.id, dim).end();
        return true;
    };
    auto is_whole = for_each_member(object, [&](std::string_view name, json::value value) {
        if (name != "sync") {
            auto* member = member_of(whole, name);
            return member == nullptr || text_of(value, *member);
        }
        has_actions = true;
        json::array actions;
        if (value.get(actions) != simdjson::SUCCESS) return false;
        for (auto item : actions) {
            json::value action;
            if (item.get(action) != simdjson::SUCCESS || !show_action(action)) return false;
        }
        return true;
    });
    if (!is_whole) return show_as_it_is(message);
    if (!has_actions) {
        auto line = begin_line(whole, whole, magenta);
        line.add(whole.name, bold).add(whole.reason).add("#" + whole.id, dim).end();
    }
    return out_;
}

}  // namespace walcast
