#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace walcast {

// Settings that cannot work. Ends the program with code 2, before anything connects.
struct ConfigError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The server, slot or publication must be mended by a human; says how. Ends the program.
struct SetupError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A connection to Postgres lost or refused. The supervisor waits and begins again.
struct PgError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The slot is in use. Another agent is at work, and this one is its standby.
struct SlotActive : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Continuity cannot be proved: the next session begins a new epoch.
struct Gap : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The sink is at a position other than the one last written, or at one that only a new session can
// go on from: it begins there.
struct PositionMoved : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws what a failed command of Postgres means: SetupError or SlotActive where its SQLSTATE
// tells, with what to do about it; otherwise PgError. `attempted` reads on from "could not".
[[noreturn]] void throw_pg_error(std::string_view attempted, std::string_view sqlstate,
                                 std::string_view message);

}  // namespace walcast
