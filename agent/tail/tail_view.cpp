#include "agent/tail/tail_view.hpp"

#include "agent/colours.hpp"
#include "agent/harmless.hpp"
#include "agent/json_members.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

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

TailView::TailView(Form form, Colours colours, TailFilter filter)
    : form_(form),
      colours_(colours),
      filter_(std::move(filter)),
      parser_(std::make_unique<Parser>()) {}

TailView::~TailView() = default;

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
        out.erase(out.find_last_not_of(" \t\r\n") + 1);
        return true;
    }
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return false;
    out = text;
    return true;
}

}  // namespace

// The members of an action, or of a message, that are shown.
struct TailView::Shown {
    std::string type, model_name, model_id, name, reason, data, data_kind, id, commit_time, epoch,
        xid, mutation_id, rejected;
    std::vector<std::string> unchanged, omitted;
    std::string_view raw;  // An action as it stands in the message.

    std::string* member_of(std::string_view member) {
        if (member == "type" || member == "action") return &type;
        if (member == "modelName") return &model_name;
        if (member == "modelId") return &model_id;
        if (member == "name") return &name;
        if (member == "reason") return &reason;
        if (member == "data") return &data;
        if (member == "dataKind") return &data_kind;
        if (member == "syncId" || member == "lastSyncId") return &id;
        if (member == "commitTime") return &commit_time;
        if (member == "epoch") return &epoch;
        if (member == "xid") return &xid;
        if (member == "mutationId") return &mutation_id;
        if (member == "rejected") return &rejected;
        return nullptr;
    }
};

struct TailView::Message {
    Shown whole;
    bool has_actions = false;
    std::vector<Shown> actions;
};

static bool read_names(json::value value, std::vector<std::string>& names) {
    json::array array;
    if (value.get(array) != simdjson::SUCCESS) return false;
    for (auto item : array) {
        std::string_view name;
        if (item.get(name) != simdjson::SUCCESS) return false;
        names.emplace_back(name);
    }
    return true;
}

template <typename Shown>
static bool read_member(Shown& shown, std::string_view name, json::value value) {
    if (name == "unchanged") return read_names(value, shown.unchanged);
    if (name == "omitted") return read_names(value, shown.omitted);
    auto* member = shown.member_of(name);
    return member == nullptr || text_of(value, *member);
}

// False when it is no message, or a broken one.
bool TailView::read(std::string_view text, Message& message) {
    json::object object;
    if (!parser_->read(text, object)) return false;
    auto read_action = [&](json::value item) {
        json::object action;
        if (item.get(action) != simdjson::SUCCESS) return false;
        auto& shown = message.actions.emplace_back();
        if (action.raw_json().get(shown.raw) != simdjson::SUCCESS) return false;
        shown.raw = shown.raw.substr(0, shown.raw.rfind('}') + 1);
        if (action.reset().error() != simdjson::SUCCESS) return false;
        return for_each_member(action, [&](std::string_view name, json::value value) {
            return read_member(shown, name, value);
        });
    };
    return for_each_member(object, [&](std::string_view name, json::value value) {
        if (name != "sync") return read_member(message.whole, name, value);
        message.has_actions = true;
        json::array actions;
        if (value.get(actions) != simdjson::SUCCESS) return false;
        for (auto item : actions) {
            json::value action;
            if (item.get(action) != simdjson::SUCCESS || !read_action(action)) return false;
        }
        return true;
    });
}

// --- what is wanted ---

template <typename Wanted, typename Fits>
static bool fits_one(const std::vector<Wanted>& wanted, Fits fits) {
    return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), fits);
}

// A reset of everything concerns each model.
bool TailView::is_wanted(const Message& message, const Shown& action) const {
    const auto& whole = message.whole;
    auto is_reset_of_all = action.type == "reset" && action.model_name.empty();
    return fits_one(filter_.models,
                    [&](const std::string& model) {
                        return is_reset_of_all ||
                               (!action.model_name.empty() &&
                                fnmatch(model.c_str(), action.model_name.c_str(), 0) == 0);
                    }) &&
           fits_one(filter_.actions, [&](const auto& type) { return type == action.type; }) &&
           fits_one(filter_.xids, [&](auto xid) { return fmt::to_string(xid) == whole.xid; }) &&
           fits_one(filter_.mutation_ids, [&](const auto& id) { return id == whole.mutation_id; });
}

// --- JSON ---

// The message with what stands between its actions' brackets written anew.
void TailView::show_json(std::string_view text, const Message& message) {
    if (message.actions.empty()) {
        if (!message.has_actions && is_wanted(message, message.whole)) append_one_line(out_, text);
        return;
    }
    std::string wanted;
    for (const auto& action : message.actions) {
        if (!is_wanted(message, action)) continue;
        if (!wanted.empty()) wanted += ',';
        wanted += action.raw;
    }
    if (wanted.empty()) return;
    auto padded = std::string_view(parser_->text.data(), parser_->text.size());
    auto begin = static_cast<std::size_t>(message.actions.front().raw.data() - padded.data());
    auto last = message.actions.back().raw;
    auto end = static_cast<std::size_t>(last.data() + last.size() - padded.data());
    append_one_line(out_,
                    fmt::format("{}{}{}", padded.substr(0, begin), wanted, padded.substr(end)));
}

// --- text ---

// Where a row came from that enters this channel, or what it left: a delete and what bears the next
// id of the same transaction are the two halves of one update. Empty when it is none.
std::string TailView::follow_move(std::string_view channel, const Message& message,
                                  const Shown& action) {
    SyncId id = 0;
    std::from_chars(action.id.data(), action.id.data() + action.id.size(), id);
    auto transaction = message.whole.epoch + ' ' + message.whole.xid;
    if (action.type == "delete") {
        auto is_known = left_.sync_id == id && left_.message == transaction &&
                        left_.model == action.model_name && left_.model_id == action.model_id;
        if (!is_known) left_ = {id, transaction, action.model_name, action.model_id, {}};
        left_.channels.emplace_back(channel);
        return {};
    }
    auto is_second = id == left_.sync_id + 1 && left_.message == transaction &&
                     left_.model == action.model_name && left_.model_id == action.model_id;
    if (!is_second || action.type == "reset") return {};
    std::string from;
    for (const auto& left : left_.channels)
        if (left != channel) from += (from.empty() ? "" : ", ") + left;
    if (from.empty()) return {};
    auto what = action.type == "insert" ? "moved here from" : "left";
    return fmt::format("({} {}: #{})", what, from, left_.sync_id);
}

void TailView::show_action(std::string_view channel, const Message& message, const Shown& action) {
    auto move = follow_move(channel, message, action);
    if (!is_wanted(message, action)) return;
    auto is_coloured = colours_ == Colours::ansi;
    auto is_of_actions = &action != &message.whole;
    const auto& time = message.whole.commit_time;
    auto has_time = time.size() >= 23;
    Line line(out_, is_coloured);
    line.add(has_time ? time.substr(11, 12) : std::string(12, ' '), dim);
    line.add(channel, cyan, channel_width);
    line.add(action.type, is_of_actions ? colour_of(action.type) : magenta, action_width);
    line.add(action.model_name, bold);
    if (is_of_actions) {
        line.add(action.model_id, bold);
        if (action.data_kind == "delta") line.add("changed", yellow);
        if (action.data_kind == "patch") line.add("patch", yellow);
        line.add(action.data);
        for (const auto& name : action.unchanged) line.add(name + "=(unchanged)", dim);
        for (const auto& name : action.omitted) line.add(name + "=(omitted: too large)", dim);
        line.add(move, yellow);
    } else {
        line.add(action.name, bold);
        if (action.rejected == "true") line.add("rejected:", red);
        line.add(action.reason);
        if (action.type == "event") line.add(action.data);
    }
    const auto& mutation_id = message.whole.mutation_id;
    if (!mutation_id.empty()) line.add("mutation=" + mutation_id, dim);
    line.add("#" + action.id, dim).end();
}

void TailView::show_text(std::string_view channel, const Message& message) {
    for (const auto& action : message.actions) show_action(channel, message, action);
    if (!message.has_actions) show_action(channel, message, message.whole);
}

// What is no message, on a terminal.
std::string_view TailView::show_as_it_is(std::string_view text) {
    out_.clear();
    append_harmless(out_, text);
    out_ += '\n';
    return out_;
}

std::string_view TailView::render(std::string_view channel, std::string_view text) {
    out_.clear();
    if (form_ == Form::json && filter_.is_empty()) {
        append_one_line(out_, text);
        return out_;
    }
    Message message;
    if (!read(text, message)) {
        out_.clear();
        return filter_.is_empty() ? show_as_it_is(text) : out_;
    }
    if (form_ == Form::json)
        show_json(text, message);
    else
        show_text(channel, message);
    return out_;
}

}  // namespace walcast
