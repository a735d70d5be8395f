#include "agent/http/chorus_routes.hpp"

#include "agent/concurrency.hpp"
#include "agent/delta/chorus_page.hpp"
#include "agent/errors.hpp"
#include "agent/http/chorus_tables.hpp"
#include "agent/http/data_query.hpp"
#include "agent/http/json_response.hpp"
#include "agent/spelling.hpp"
#include "decoders/json_string.hpp"
#include "sinks/native_envelope.hpp"
#include "sinks/sink.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <utility>

namespace walcast {

namespace {

using std::chrono::milliseconds;

constexpr std::string_view sync_path = "/chorus/sync/";
// For a page, and for a place among the bootstraps.
constexpr milliseconds answer_limit{30'000};

struct Chorus {
    Chorus(std::shared_ptr<BootstrapService> service, RedisReader& redis)
        : bootstraps(std::move(service)),
          reader(redis),
          tables(bootstraps),
          turns(bootstraps->executor) {}

    std::shared_ptr<BootstrapService> bootstraps;
    RedisReader& reader;
    ChorusTables tables;
    Unread unread;
    Turns turns;  // Pages are made one after the other: each may hold some megabytes.
};

// --- /chorus/schema ---

// The same for the same text: FNV-1a.
std::uint32_t version_of(std::string_view text) {
    std::uint32_t hash = 2166136261U;
    for (auto byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
    return hash;
}

asio::awaitable<HttpResponse> tell_schema(std::shared_ptr<Chorus> chorus) {
    auto finding = chorus->tables.find();
    auto found = co_await std::move(finding);
    // The reset first: the id below is not before it.
    auto reset = co_await chorus->reader.read_last_reset();
    auto reached = co_await chorus->reader.read_position();
    std::string schema = "{";
    for (const auto& table : found->tables) {
        if (schema.size() > 1) schema += ',';
        append_json_string(schema, table.model);
        schema += ':';
        append_json_string(schema, table.fields);
    }
    schema += '}';
    auto body = fmt::format(
        R"({{"schema":{},"schema_version":{},"database_version":"{}-{}","latest_harmonic_id":")",
        schema, version_of(schema), reached.epoch, reset);
    append_uuid(body, reached.clock, reached.sync_id, 255);
    body += R"(","generated_at":")";
    append_timestamp(body, std::chrono::floor<std::chrono::microseconds>(Clock::unix_now()));
    co_return json_response(200, body + "\"}\n");
}

// --- /chorus/sync/{table} ---

HttpResponse not_provable(std::string_view reason, std::string_view detail) {
    auto body = fmt::format(R"({{"status":"not provable","reason":"{}","detail":)", reason);
    append_json_string(body, detail);
    body += R"(,"then":"answer this client's next /chorus/schema with another database_version: )"
            R"(it deletes its database and fetches afresh"})";
    return json_response(409, body + '\n');
}

const ChorusTables::Table& table_of(const ChorusTables::Found& found, std::string_view path) {
    auto name = decode_path(path.substr(sync_path.size()));
    if (const auto* table = found.find(name)) return *table;
    std::vector<std::string> models;
    for (const auto& table : found.tables) models.push_back(table.model);
    throw std::invalid_argument(
        models.empty()
            ? fmt::format("there is no table {}, nor any other: no rule's model goes to "
                          "an output with envelope = \"chorus\"",
                          name)
            : fmt::format("there is no table {}; did you mean {}?", name, nearest(name, models)));
}

// What there is, as of now.
asio::awaitable<HttpResponse> first_load(std::shared_ptr<Chorus> chorus, std::string model,
                                         ChorusQuery query) {
    auto end = Clock::now() + answer_limit;
    while (chorus->bootstraps->is_full() && Clock::now() < end)
        co_await sleep_for(milliseconds{20});
    BootstrapRequest wanted{.channels = std::move(query.channels), .models = {}, .after = {}};
    wanted.models.push_back(std::move(model));
    auto records = std::make_shared<ChorusRecords>(query.until);
    BootstrapForm form{.content_type = "application/json"};
    if (query.until) form.seen = query.until->sync_id;
    form.rewrite = [records](std::string& lines) { records->rewrite(lines); };
    auto answering = answer_bootstrap(chorus->bootstraps, std::move(wanted), std::move(form));
    auto response = co_await std::move(answering);
    // Here 409 would mean that the client has to begin again.
    if (response.status == 409) response.status = 503;
    if (response.status == 503) response.header = "Retry-After: 1";
    co_return response;
}

// What has changed since. `table` outlives it.
asio::awaitable<HttpResponse> read_changes(std::shared_ptr<Chorus> chorus,
                                           const ChorusTables::Table& table, ChorusQuery query) {
    auto turn = co_await chorus->turns.take();
    if (chorus->unread.is_too_much())
        co_return unavailable("too many answers wait to be read by others");
    auto reached = co_await chorus->reader.read_position();
    DeltaRequest wanted{.channels = std::move(query.channels),
                        .epoch = reached.epoch,
                        .after = {},
                        .messages_max = 1000};
    wanted.channels.push_back(chorus->reader.control());
    wanted.after.assign(wanted.channels.size(), query.after->sync_id);
    ValueWriter writer;
    auto write_key = [&](std::string& out, std::string_view id) {
        append_key_of_id(out, writer, *table.rule, id);
    };
    ChorusPage page({.model = table.model, .after = *query.after, .until = query.until}, write_key);
    for (;;) {
        auto history = co_await chorus->reader.read_histories(wanted);
        auto delta = prove(wanted, history);
        if (!delta.is_complete()) co_return not_provable(name_of(delta.status), delta.detail);
        for (const auto& entry : history.entries) page.add(entry.message);
        auto is_last =
            !delta.has_more || (query.until && delta.last_sync_id >= query.until->sync_id);
        wanted.after = std::move(delta.after);
        if (!is_last && !page.refusal()) continue;
        auto response = json_response(200, page.finish(delta.last_sync_id, reached.clock));
        if (page.refusal()) co_return not_provable(page.refusal()->reason, page.refusal()->detail);
        chorus->unread.count(response);
        co_return response;
    }
}

asio::awaitable<HttpResponse> changes(std::shared_ptr<Chorus> chorus,
                                      const ChorusTables::Table& table, ChorusQuery query) {
    if (!query.after)
        co_return not_provable("no_cursor", "after is no id of a harmonic of walcast");
    auto reading = read_changes(chorus, table, std::move(query));
    auto response = co_await within(answer_limit, std::move(reading));
    if (!response) co_return unavailable("the page was not made in time");
    co_return std::move(*response);
}

asio::awaitable<HttpResponse> sync(std::shared_ptr<Chorus> chorus, HttpRequest request) {
    auto query = read_chorus_query(request.query, chorus->reader.control());
    auto finding = chorus->tables.find();
    auto found = co_await std::move(finding);
    const auto& table = table_of(*found, request.path);
    auto answering = query.is_initial ? first_load(chorus, table.model, std::move(query))
                                      : changes(chorus, table, std::move(query));
    co_return co_await std::move(answering);
}

// --- what goes wrong ---

asio::awaitable<HttpResponse> answer(std::shared_ptr<Chorus> chorus, HttpRequest request) {
    if (!chorus->tables.has_output())
        co_return json_error(404, "there is no [[output]] with envelope = \"chorus\"");
    try {
        auto answering = request.path.starts_with(sync_path) ? sync(chorus, std::move(request))
                                                             : tell_schema(chorus);
        co_return co_await std::move(answering);
    } catch (const std::invalid_argument& error) {
        co_return json_error(400, error.what());
    } catch (const SetupError& error) {
        co_return json_error(500, error.what());
    } catch (const NotStreaming& error) {
        co_return unavailable(error.what());
    } catch (const PgError& error) {
        co_return unavailable(error.what());
    } catch (const SinkError& error) {
        co_return unavailable(error.what());
    }
}

}  // namespace

std::vector<HttpRoute> chorus_routes(std::shared_ptr<BootstrapService> bootstraps,
                                     RedisReader& reader) {
    auto chorus = std::make_shared<Chorus>(std::move(bootstraps), reader);
    auto handler = [chorus](HttpRequest request) { return answer(chorus, std::move(request)); };
    constexpr auto access = HttpRoute::Access::guarded;
    return {{.method = "GET", .path = "/chorus/schema", .access = access, .handler = handler},
            {.method = "GET", .path = sync_path, .access = access, .handler = handler}};
}

}  // namespace walcast
