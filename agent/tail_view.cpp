#include "agent/tail_view.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

namespace walcast {

namespace dom = simdjson::dom;

struct TailView::Parser {
    dom::parser json;
};

TailView::TailView(Form form, Colours colours)
    : form_(form), colours_(colours), parser_(std::make_unique<Parser>()) {}

TailView::~TailView() = default;

std::optional<TailView::Head> TailView::read_head(std::string_view message) {
    dom::element found;
    if (parser_->json.parse(message.data(), message.size()).get(found) != simdjson::SUCCESS)
        return std::nullopt;
    Head head;
    std::string_view type;
    std::string_view epoch;
    auto is_ours = found["type"].get(type) == simdjson::SUCCESS &&
                   found["epoch"].get(epoch) == simdjson::SUCCESS &&
                   found["prevSyncId"].get(head.prev_sync_id) == simdjson::SUCCESS &&
                   found["lastSyncId"].get(head.last_sync_id) == simdjson::SUCCESS;
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
        out_ += ' ';
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

std::string text_of(dom::element object, const char* key) {
    std::string_view text;
    if (object[key].get(text) == simdjson::SUCCESS) return std::string(text);
    std::uint64_t number = 0;
    if (object[key].get(number) == simdjson::SUCCESS) return fmt::to_string(number);
    return {};
}

}  // namespace

std::string_view TailView::render(std::string_view channel, std::string_view message) {
    out_.clear();
    dom::element found;
    auto is_json =
        parser_->json.parse(message.data(), message.size()).get(found) == simdjson::SUCCESS;
    if (form_ == Form::json || !is_json) {
        append_one_line(out_, message);
        return out_;
    }
    auto is_coloured = colours_ == Colours::ansi;
    auto time = text_of(found, "commitTime");
    auto clock = time.size() >= 23 ? time.substr(11, 12) : std::string(12, ' ');
    dom::array actions;
    if (found["sync"].get(actions) != simdjson::SUCCESS) {
        Line line(out_, is_coloured);
        line.add(clock, dim).add(channel, cyan, 20).add(text_of(found, "type"), magenta, 6);
        line.add(text_of(found, "modelName"), bold).add(text_of(found, "name"), bold);
        line.add(text_of(found, "reason")).add("#" + text_of(found, "lastSyncId"), dim).end();
        return out_;
    }
    for (auto action : actions) {
        auto kind = text_of(action, "action");
        Line line(out_, is_coloured);
        line.add(clock, dim).add(channel, cyan, 20).add(kind, colour_of(kind), 6);
        line.add(text_of(action, "modelName"), bold).add(text_of(action, "modelId"), bold);
        dom::element data;
        if (action["data"].get(data) == simdjson::SUCCESS) line.add(simdjson::minify(data));
        for (const auto* gap : {"unchanged", "omitted"})
            if (action[gap].get(data) == simdjson::SUCCESS)
                line.add(fmt::format("{}={}", gap, simdjson::minify(data)), dim);
        line.add("#" + text_of(action, "syncId"), dim).end();
    }
    return out_;
}

}  // namespace walcast
