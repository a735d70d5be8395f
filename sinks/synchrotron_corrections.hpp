#pragma once

#include "sinks/envelope.hpp"

namespace walcast {

// Writes made outside of Synchrotron, as one correction for each message: patches that its clients
// apply without running any action. Its clock is the latest commit time so far, its counter the
// sync id, so that it rises in commit order. Experimental.
class SynchrotronCorrections final : public Envelope {
public:
    explicit SynchrotronCorrections(OutputSettings output) : output_(std::move(output)) {}

    void wrap(const ChannelMessage& message, Published& out) override;

private:
    OutputSettings output_;
};

}  // namespace walcast
