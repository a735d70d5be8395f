#pragma once

#include "agent/catalog.hpp"
#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "agent/recording/recording.hpp"

#include <functional>
#include <optional>
#include <string>

namespace walcast {

// A replication slot, read by libpq.
class ReplicationStream final : public ChangeStream {
public:
    struct Settings {
        std::string conninfo;
        std::string slot;
        std::vector<std::string> publications;
        Plugin plugin = Plugin::pgoutput;
        unsigned format_version = 2;  // Of wal2json.
        bool is_streaming = false;    // pgoutput: transactions in progress too.
        bool is_without_origins = false;
        JsonPolicy values = {};
        bool is_temporary = false;  // Made for this connection, and gone with it.
        std::function<void(const std::string& line)> say = {};   // Whom a temporary slot waits for.
        std::function<void(std::string_view line)> notice = {};  // What the server remarks.
        RecordingWriter* recording = nullptr;  // Hears all that the stream and the catalog tell.
    };

    ReplicationStream(asio::any_io_executor executor, Settings settings);

    asio::awaitable<void> start() override;
    const StreamFacts& facts() const override { return facts_; }
    Catalog& catalog() override { return catalog_; }
    std::optional<StreamMessage> next() override;
    void receive() override { connection_.receive(); }
    asio::awaitable<void> wait_readable() override { return connection_.wait_readable(); }
    void interrupt() override { connection_.interrupt(); }
    asio::awaitable<void> report(StandbyStatus status) override;
    asio::awaitable<void> finish() override { return connection_.end_copy(); }
    asio::awaitable<void> list_tables() override;
    asio::awaitable<TableDescription> describe(Relation relation, std::uint32_t xid) override;
    asio::awaitable<bool> has_slot() override;
    asio::awaitable<bool> is_stopping() override;
    asio::awaitable<Wal> wal() override { return ask_wal(""); }
    asio::awaitable<Wal> emit(std::string prefix, std::string content) override;

private:
    void start_recording();
    asio::awaitable<void> identify(PgConnection& asking);
    asio::awaitable<void> check_slot(PgConnection& asking);
    asio::awaitable<void> check_publications(PgConnection& asking);
    asio::awaitable<void> read_catalog(PgConnection& asking);
    PgConnection ask_beside();
    asio::awaitable<Wal> ask_wal(std::string beside);
    asio::awaitable<void> list_tables(PgConnection& connection);
    asio::awaitable<std::vector<StreamFacts::Published>> list_all(PgConnection& connection) const;
    std::string pgoutput_command();
    asio::awaitable<void> start_wal2json(std::string attempted);

    asio::any_io_executor executor_;
    Settings settings_;
    PgConnection connection_;
    StreamFacts facts_;
    bool are_nans_told_ = false;  // Of wal2json: as text, not as null.
    Catalog catalog_;
    std::string unpublished_;  // A notice that says so.
};

// The stream that the configuration names.
ReplicationStream::Settings stream_settings(const Config& config);

}  // namespace walcast
