#pragma once

#include "sinks/envelope.hpp"

namespace walcast {

// Harmonics of Laravel Chorus, each as Laravel's Redis broadcaster would publish it. Its client
// replaces rows whole, so of a row that is not whole nothing is told. It knows no resets, and of
// events only rejections of one record.
class ChorusEnvelope final : public Envelope {
public:
    explicit ChorusEnvelope(OutputSettings output) : output_(std::move(output)) {}

    void wrap(const ChannelMessage& message, Published& out) override;

private:
    std::string& begin(const ChannelMessage& message, Published& out) const;
    void wrap_action(const ChannelMessage& message, const ActionView& action, Published& out) const;
    void wrap_rejection(const ChannelMessage& message, Published& out) const;

    OutputSettings output_;
};

// One harmonic by itself: `{"id":..,"table_name":..,"record_id":..,..}`. Of the message it takes
// the times.
void append_harmonic(std::string& out, const ChannelMessage& message, const ActionView& action);

}  // namespace walcast
