#pragma once

#include "sinks/sink.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace walcast {

// A batch as text, one line a message: `todos:1 todos:2 @7 {"syncId":7,...}`; a reset's channel
// is `control`.
inline std::vector<std::string> lines_of(const Batch& batch) {
    std::vector<std::string> lines;
    for (const auto& message : batch.messages) {
        std::string line = message.kind == Message::Kind::reset ? "control " : "";
        for (auto i = message.channels_begin; i < message.channels_end; ++i) {
            line += batch.text(batch.channels[i].begin, batch.channels[i].end);
            line += ' ';
        }
        line += fmt::format("@{} {}", message.last_sync_id,
                            batch.text(message.body_begin, message.body_end));
        lines.push_back(line);
    }
    return lines;
}

}  // namespace walcast
