#include "sinks/envelope.hpp"

#include "sinks/ably_envelope.hpp"
#include "sinks/chorus_envelope.hpp"
#include "sinks/synchrotron_corrections.hpp"
#include "sinks/synchrotron_log.hpp"

namespace walcast {

std::string& Published::add(const OutputSettings& output, std::string_view channel) {
    One one{.channel_begin = bytes_.size()};
    bytes_ += output.channel_before;
    bytes_ += channel;
    bytes_ += output.channel_after;
    one.payload_begin = bytes_.size();
    ones_.push_back(one);
    return bytes_;
}

void Published::add_native(const OutputSettings& output, std::string_view channel) {
    add(output, channel);
    ones_.back().is_native = true;
}

std::string_view Published::channel(std::size_t i) const {
    const auto& one = ones_[i];
    return std::string_view(bytes_).substr(one.channel_begin,
                                           one.payload_begin - one.channel_begin);
}

std::string_view Published::payload(std::size_t i) const {
    auto end = i + 1 < ones_.size() ? ones_[i + 1].channel_begin : bytes_.size();
    return std::string_view(bytes_).substr(ones_[i].payload_begin, end - ones_[i].payload_begin);
}

void Published::clear() {
    constexpr std::size_t bytes_max = std::size_t{4} << 20U;  // A giant row's buffer is not kept.
    if (bytes_.capacity() > bytes_max) bytes_ = {};
    bytes_.clear();
    ones_.clear();
}

namespace {

class NativeEnvelope final : public Envelope {
public:
    explicit NativeEnvelope(OutputSettings output) : output_(std::move(output)) {}

    void wrap(const ChannelMessage& message, Published& out) override {
        out.add_native(output_, message.channel);
    }

private:
    OutputSettings output_;
};

}  // namespace

std::unique_ptr<Envelope> make_envelope(const OutputSettings& output) {
    switch (output.envelope) {
        case EnvelopeKind::native: break;
        case EnvelopeKind::chorus: return std::make_unique<ChorusEnvelope>(output);
        case EnvelopeKind::ably: return std::make_unique<AblyEnvelope>(output);
        case EnvelopeKind::synchrotron:
            if (output.is_correcting) return std::make_unique<SynchrotronCorrections>(output);
            return std::make_unique<SynchrotronLog>(output);
    }
    return std::make_unique<NativeEnvelope>(output);
}

std::string_view default_channel(EnvelopeKind kind) {
    return kind == EnvelopeKind::chorus ? "laravel_database_private-{channel}" : "{channel}";
}

}  // namespace walcast
