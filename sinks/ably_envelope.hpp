#pragma once

#include "sinks/envelope.hpp"

namespace walcast {

// Messages of Ably, one for each action or event, as its Models SDK reads them; or, as its database
// connector sends them, of the outbox alone, with its ids.
class AblyEnvelope final : public Envelope {
public:
    explicit AblyEnvelope(OutputSettings output);

    void wrap(const ChannelMessage& message, Published& out) override;

private:
    struct NamePart {
        enum class Kind : std::uint8_t { literal, model, action, id } kind = Kind::literal;
        std::string text;  // As it stands in a JSON string.
    };

    void append_name(std::string& out, const ActionView& action) const;
    void wrap_action(const ChannelMessage& message, const ActionView& action, Published& out) const;
    void wrap_event(const ChannelMessage& message, Published& out) const;

    OutputSettings output_;
    std::vector<NamePart> name_;
};

}  // namespace walcast
