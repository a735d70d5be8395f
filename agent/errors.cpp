#include "agent/errors.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

namespace {

struct Meaning {
    std::string_view sqlstate;
    std::string_view says;  // Part of the message, where the code alone does not tell.
    std::string_view what_to_do;
};

// By SQLSTATE, since texts differ between versions and languages; the manual's appendix A.
constexpr Meaning for_a_human[] = {
    {"28P01", "", "check the password in [source] url, PGPASSWORD or the password file"},
    {"28000", "",
     "check the user in [source] url, and pg_hba.conf for a line that admits it to this database"},
    {"3D000", "", "check the database in [source] url"},
    {"42501", "output plugin",
     "PostgreSQL's minor releases of August 2026 and later load only listed plugins. As a "
     "superuser: ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json; "
     "SELECT pg_reload_conf(). Without quotes: one quoted string is one library"},
    {"42501", "replication", "as a superuser: ALTER ROLE <the user of [source] url> REPLICATION"},
    {"42501", "WAL sender", "as a superuser: ALTER ROLE <the user of [source] url> REPLICATION"},
    {"42501", "walsender", "as a superuser: ALTER ROLE <the user of [source] url> REPLICATION"},
    {"42501", "publication",
     "as a superuser: GRANT CREATE ON DATABASE <database> TO <user>, and make the user owner of "
     "the tables"},
    {"42501", "row-level security",
     "its policies would hide rows of which live messages tell: ALTER ROLE <the user of [source] "
     "url> BYPASSRLS"},
    {"42501", "", "grant the user of [source] url what it lacks; sql/role.sql lists all of it"},
    {"42704", "replication slot", "run `walcast init`"},
    {"42704", "publication",
     "the publication was missing when a change was made: create it with `walcast init`, and, on "
     "PostgreSQL "
     "14 to 17, drop and recreate the slot (`walcast drop`, `walcast init`); clients then get a "
     "reset"},
    {"55000", "wal_level", "in postgresql.conf: wal_level = logical, then restart Postgres"},
    {"55000", "cannot read from logical replication slot",
     "the slot is lost: `walcast drop`, then `walcast init`; clients then get a reset"},
    {"55000", "can no longer",
     "the slot is lost: `walcast drop`, then `walcast init`; clients then get a reset"},
    {"55000", "was not created in this database", "give [source] url the slot's database"},
    {"53400", "slots", "raise max_replication_slots and restart Postgres, or drop unused slots"},
    {"42602", "", "slot names have only a-z, 0-9 and _, and at most 63 characters"},
    {"0A000", "column list",
     "two publications give a table different column lists: make them alike"},
    {"22021", "", "a row's bytes are not valid in its encoding: mend the row"},
    {"58P01", "could not access file",
     "the output plugin is not installed on the server: for wal2json, Debian's package is "
     "postgresql-<version>-wal2json"},
    {"54000", "",
     "a transaction or row is larger than wal2json can print at once (1 GB): use plugin = "
     "\"pgoutput\", or leave the large column out"},
    {"58P01", "",
     "install the output plugin, or, if WAL is missing, `walcast drop`, then `walcast init`"},
};

constexpr Meaning for_a_pooler[] = {
    {"", "unsupported startup parameter", ""},
    {"", "unrecognized configuration parameter \"replication\"", ""},
    {"", "no such database: replication", ""},
    {"", "pgbouncer cannot connect", ""},
};

bool fits(const Meaning& meaning, std::string_view sqlstate, std::string_view message) {
    return (meaning.sqlstate.empty() || meaning.sqlstate == sqlstate) &&
           message.find(meaning.says) != std::string_view::npos;
}

}  // namespace

// libpq's messages end in newlines and have details on lines of their own.
static std::string one_line(std::string_view message) {
    std::string line;
    for (auto character : message) {
        auto is_space =
            character == '\n' || character == '\t' || character == '\r' || character == ' ';
        if (!is_space)
            line += character;
        else if (!line.empty() && line.back() != ' ')
            line += ' ';
    }
    while (line.ends_with(' ')) line.pop_back();
    return line;
}

void throw_pg_error(std::string_view attempted, std::string_view sqlstate,
                    std::string_view message) {
    auto what = fmt::format("postgres: {}: {}", attempted, one_line(message));
    if (sqlstate == "55006") throw SlotActive(what);
    auto is_pooler =
        std::any_of(std::begin(for_a_pooler), std::end(for_a_pooler),
                    [&](const Meaning& sign) { return fits(sign, sqlstate, message); });
    // A pooler that swallows `replication=database` hands the commands to an ordinary session.
    auto is_swallowed =
        sqlstate == "42601" && message.find("IDENTIFY_SYSTEM") != std::string_view::npos;
    if (is_pooler || is_swallowed)
        throw SetupError(what +
                         " (a connection pooler is in between, which cannot pass replication: "
                         "give [source] url the address of Postgres itself)");
    for (const auto& meaning : for_a_human)
        if (fits(meaning, sqlstate, message))
            throw SetupError(fmt::format("{} ({})", what, meaning.what_to_do));
    throw PgError(what);
}

}  // namespace walcast
