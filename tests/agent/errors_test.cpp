#include "agent/errors.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace walcast {

struct PgFailure {
    const char* sqlstate;
    const char* message;
    const char* hint;

    friend void PrintTo(const PgFailure& shown, std::ostream* out) {
        *out << shown.sqlstate << ' ' << shown.message;
    }
};

class ForAHuman : public testing::TestWithParam<PgFailure> {};

TEST_P(ForAHuman, EndsTheProgramAndSaysWhatToDo) {
    const auto& failure = GetParam();

    auto error = error_of<SetupError>(
        [&] { throw_pg_error("start replication", failure.sqlstate, failure.message); });

    EXPECT_TRUE(error.starts_with("postgres: start replication: ")) << error;
    EXPECT_TRUE(contains(error, failure.message)) << error;
    EXPECT_TRUE(contains(error, failure.hint)) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Postgres, ForAHuman,
    testing::Values(
        PgFailure{"28P01", "FATAL: password authentication failed for user \"walcast\"",
                  "password"},
        PgFailure{"28000", "FATAL: no pg_hba.conf entry for replication connection", "pg_hba.conf"},
        PgFailure{"3D000", "FATAL: database \"ap\" does not exist", "database"},
        PgFailure{"42501", "FATAL: must be superuser or replication role to start walsender",
                  "REPLICATION"},
        PgFailure{"42501", "FATAL: permission denied to start WAL sender", "REPLICATION"},
        PgFailure{"42501", "ERROR: permission denied to use replication slots", "REPLICATION"},
        PgFailure{"42501", "ERROR: must be owner of publication walcast", "GRANT CREATE"},
        PgFailure{"42501", "ERROR: library \"wal2json\" may not be used as an output plugin",
                  "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json"},
        PgFailure{"42501", "ERROR: permission denied for table todos", "sql/role.sql"},
        PgFailure{"42704", "ERROR: replication slot \"walcast\" does not exist", "walcast init"},
        PgFailure{"42704", "ERROR: publication \"walcast\" does not exist", "walcast init"},
        PgFailure{"55000", "ERROR: logical decoding requires wal_level >= logical",
                  "wal_level = logical"},
        PgFailure{"55000", "ERROR: cannot read from logical replication slot \"walcast\"",
                  "walcast drop"},
        PgFailure{"55000", "ERROR: can no longer get changes from replication slot \"walcast\"",
                  "walcast drop"},
        PgFailure{"55000", "ERROR: replication slot \"walcast\" was not created in this database",
                  "[source] url"},
        PgFailure{"53400", "ERROR: all replication slots are in use", "max_replication_slots"},
        PgFailure{"42602", "ERROR: replication slot name \"A\" contains invalid character", "a-z"},
        PgFailure{"0A000",
                  "ERROR: cannot use different column lists for table in different publications",
                  "make them alike"},
        PgFailure{"22021", "ERROR: invalid byte sequence for encoding \"UTF8\"", "mend the row"},
        PgFailure{"58P01", "ERROR: could not access file \"wal2json\"", "not installed"},
        PgFailure{"58P01", "ERROR: requested WAL segment has already been removed",
                  "walcast init"}));

class APooler : public testing::TestWithParam<PgFailure> {};

TEST_P(APooler, IsNamedAsTheTrouble) {
    const auto& failure = GetParam();

    auto error =
        error_of<SetupError>([&] { throw_pg_error("connect", failure.sqlstate, failure.message); });

    EXPECT_TRUE(contains(error, "pooler")) << error;
    EXPECT_TRUE(contains(error, "address of Postgres itself")) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Postgres, APooler,
    testing::Values(PgFailure{"08P01", "FATAL: unsupported startup parameter: replication", ""},
                    PgFailure{"", "FATAL: unsupported startup parameter in options: datestyle", ""},
                    PgFailure{"42704", "unrecognized configuration parameter \"replication\"", ""},
                    PgFailure{"42601", "ERROR: syntax error at or near \"IDENTIFY_SYSTEM\"", ""},
                    PgFailure{"08P01", "FATAL: pgbouncer cannot connect to server", ""}));

class ToBeTriedAgain : public testing::TestWithParam<PgFailure> {};

TEST_P(ToBeTriedAgain, IsAPlainError) {
    const auto& failure = GetParam();

    auto error =
        error_of<PgError>([&] { throw_pg_error("connect", failure.sqlstate, failure.message); });

    EXPECT_EQ(error, std::string("postgres: connect: ") + failure.message);
}

INSTANTIATE_TEST_SUITE_P(
    Postgres, ToBeTriedAgain,
    testing::Values(PgFailure{"", "connection refused", ""},
                    PgFailure{"08006", "server closed the connection unexpectedly", ""},
                    PgFailure{"57P01", "FATAL: terminating connection due to administrator command",
                              ""},
                    PgFailure{"57P03", "FATAL: the database system is starting up", ""},
                    PgFailure{"53300", "FATAL: sorry, too many clients already", ""},
                    PgFailure{"53100", "ERROR: could not write: No space left on device", ""},
                    PgFailure{"58030", "ERROR: could not read file", ""},
                    PgFailure{"XX000", "ERROR: something else", ""}));

TEST(PgErrors, TellASlotInUseFromAllElse) {
    auto error = error_of<SlotActive>([] {
        throw_pg_error("start replication", "55006",
                       "ERROR: replication slot \"walcast\" is active for PID 4711");
    });

    EXPECT_TRUE(contains(error, "is active for PID 4711")) << error;
}

TEST(PgErrors, AreOneLine) {
    auto error = error_of<PgError>(
        [] { throw_pg_error("connect", "", "\nFATAL:  gone\nDETAIL:\tfor\r\n  good\n\n"); });

    EXPECT_EQ(error, "postgres: connect: FATAL: gone DETAIL: for good");
}

TEST(PgErrors, TakeAnEmptyMessage) {
    EXPECT_THROW(throw_pg_error("connect", "", ""), PgError);
}

}  // namespace walcast
