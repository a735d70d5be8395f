#include "agent/logical_messages.hpp"

#include "agent/annotation.hpp"
#include "agent/published_event.hpp"

#include <fmt/format.h>

namespace walcast {

static std::optional<std::string> annotate(const LogicalMessage& message,
                                           const Numbering& numbering, BatchBuilder& builder) {
    if (!message.is_transactional)
        return "an annotation outside a transaction: nothing to annotate, the first argument of "
               "pg_logical_emit_message must be true";
    if (numbering.is_covered()) return std::nullopt;
    try {
        if (!builder.annotate(parse_annotation(message.content)))
            return "an annotation came after messages of its transaction had gone: it should be "
                   "the first statement";
    } catch (const ValueError& error) {
        return fmt::format("an annotation was ignored: {}", error.what());
    }
    return std::nullopt;
}

static std::optional<std::string> publish(const LogicalMessage& message, SyncId id,
                                          BatchBuilder& builder) {
    try {
        builder.add_event(parse_event(message.content), id);
    } catch (const ValueError& error) {
        builder.set_aside_event(id, error.what(), message.content);
        return fmt::format("an event is among the dead letters, not published: {}", error.what());
    }
    return std::nullopt;
}

// It was sent before the agent, or the session, began anew.
static void pass_over(const LogicalMessage& message, BatchBuilder& builder) {
    try {
        builder.pass_over(parse_event(message.content));
    } catch (const ValueError&) {
        return;  // It is among the dead letters.
    }
}

std::optional<std::string> take_message(const LogicalMessage& message, std::string_view bytes,
                                        Numbering& numbering, BatchBuilder& builder) {
    auto is_event = message.prefix == PublishedEvent::prefix;
    std::optional<std::string> wrong;
    if (message.prefix == Annotation::prefix) wrong = annotate(message, numbering, builder);
    if (message.is_transactional) {
        if (!is_event) return wrong;
        auto id = numbering.take(bytes, 1);
        if (id) return publish(message, *id, builder);
        if (!numbering.is_covered()) pass_over(message, builder);
        return std::nullopt;
    }
    // It is a transaction of its own, whose end is told by its place alone.
    auto id = numbering.take_alone(message.lsn, is_event ? 1 : 0);
    if (!id) return wrong;
    builder.begin({.commit_lsn = message.lsn, .xid = 0, .commit_time = {}});
    wrong = publish(message, *id, builder);
    builder.end_transaction(*id);
    return wrong;
}

}  // namespace walcast
