#include "agent/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>

namespace walcast {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

static constexpr std::array<double, 15> seconds_array{
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
static constexpr std::array<double, 10> bytes_array{1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 17,
                                                    1 << 18, 1 << 19, 1 << 20, 1 << 22, 1 << 24};
const std::span<const double> seconds_bounds{seconds_array};
const std::span<const double> bytes_bounds{bytes_array};

void Histogram::observe(double value) {
    auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    ++counts_[static_cast<std::size_t>(at)];
    sum_ += value;
}

std::string_view name_of(Metrics::State state) {
    switch (state) {
        case Metrics::State::starting: return "starting";
        case Metrics::State::standby: return "standby";
        case Metrics::State::active: return "active";
    }
    return "";
}

std::optional<double> seconds_since(Metrics::Time then, Clock::time_point now) {
    if (!then) return std::nullopt;
    return std::chrono::duration<double>(now - *then).count();
}

std::uint64_t confirmed_lag_bytes(const Metrics& metrics) {
    auto end = std::max({metrics.wal_end, metrics.received_lsn, metrics.confirmed_lsn});
    return end.value - metrics.confirmed_lsn.value;
}

// --- as text ---

namespace {

struct Labelled {
    const char* label;
    std::uint64_t value;
};

// A list of families as Prometheus has them; each call adds one.
class Families {
public:
    void gauge(const char* name, const char* help, double value) {
        ClientMetric metric;
        metric.gauge.value = value;
        add(name, help, MetricType::Gauge).metric.push_back(metric);
    }

    // Not there rather than a number that it is not.
    void gauge(const char* name, const char* help, std::optional<double> value) {
        if (value) gauge(name, help, *value);
    }

    void counter(const char* name, const char* help, double value) {
        ClientMetric metric;
        metric.counter.value = value;
        add(name, help, MetricType::Counter).metric.push_back(metric);
    }

    void counter(const char* name, const char* help, std::uint64_t value) {
        counter(name, help, static_cast<double>(value));
    }

    // One for each value of a label.
    void counters(const char* name, const char* help, const char* label,
                  std::initializer_list<Labelled> values) {
        auto& family = add(name, help, MetricType::Counter);
        for (const auto& value : values) {
            ClientMetric metric;
            metric.label.push_back({label, value.label});
            metric.counter.value = static_cast<double>(value.value);
            family.metric.push_back(metric);
        }
    }

    void labelled_gauge(const char* name, const char* help, const char* label, std::string_view is,
                        double value) {
        ClientMetric metric;
        metric.label.push_back({label, std::string(is)});
        metric.gauge.value = value;
        auto is_begun = !families_.empty() && families_.back().name == name;
        auto& family = is_begun ? families_.back() : add(name, help, MetricType::Gauge);
        family.metric.push_back(metric);
    }

    void histogram(const char* name, const char* help, const Histogram& from) {
        ClientMetric metric;
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < from.counts().size(); ++i) {
            count += from.counts()[i];
            auto bound = i < from.bounds().size() ? from.bounds()[i]
                                                  : std::numeric_limits<double>::infinity();
            metric.histogram.bucket.push_back({.cumulative_count = count, .upper_bound = bound});
        }
        metric.histogram.sample_count = count;
        metric.histogram.sample_sum = from.sum();
        add(name, help, MetricType::Histogram).metric.push_back(metric);
    }

    std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

private:
    MetricFamily& add(const char* name, const char* help, MetricType type) {
        MetricFamily family;
        family.name = name;
        family.help = help;
        family.type = type;
        return families_.emplace_back(std::move(family));
    }

    std::vector<MetricFamily> families_;
};

double number(std::uint64_t count) {
    return static_cast<double>(count);
}

std::optional<double> number(std::optional<std::int64_t> count) {
    if (!count) return std::nullopt;
    return static_cast<double>(*count);
}

void add_state(Families& out, const Metrics& metrics) {
    using State = Metrics::State;
    for (auto state : {State::starting, State::standby, State::active})
        out.labelled_gauge("walcast_state",
                           "1 for what this agent is: starting, standby (another one has the "
                           "slot) or active.",
                           "state", name_of(state), metrics.state == state ? 1 : 0);
    out.gauge("walcast_postgres_connected", "Whether the stream from Postgres has started.",
              metrics.is_postgres_connected ? 1.0 : 0.0);
    out.gauge("walcast_redis_connected", "Whether Redis is connected and its position ours.",
              metrics.is_redis_connected ? 1.0 : 0.0);
}

void add_stream(Families& out, const Metrics& metrics) {
    out.counter("walcast_transactions_total", "Transactions read to their end.",
                metrics.transactions);
    out.counters("walcast_changes_total", "Rows changed, and tables truncated, as they were read.",
                 "action",
                 {{"insert", metrics.inserts},
                  {"update", metrics.updates},
                  {"delete", metrics.deletes},
                  {"truncate", metrics.truncates}});
    out.gauge("walcast_spool_bytes", "Of transactions in progress, kept until they commit.",
              number(metrics.spool_bytes));
    out.counter("walcast_sync_actions_total", "Sync actions written.", metrics.sync_actions);
    out.counter("walcast_omitted_total", "Actions sent without their large columns.",
                metrics.omitted);
    out.counter("walcast_unroutable_total",
                "Changes of which a rule could not tell whom they concern.", metrics.unroutable);
    out.counter("walcast_bad_rows_total", "Rows and events put among the dead letters.",
                metrics.bad_rows);
    out.counter("walcast_events_total", "Events published that no row of a rule stands for.",
                metrics.events);
    out.counter("walcast_receipts_total", "Receipts written for mutations.", metrics.receipts);
    out.counter("walcast_wrong_messages_total",
                "Annotations ignored or too late, and events that cannot be read.",
                metrics.messages_wrong);
}

void add_sink(Families& out, const Metrics& metrics) {
    out.counter("walcast_messages_total", "Messages sent, once for each channel.",
                metrics.messages);
    out.counter("walcast_batches_total", "Batches that Redis accepted.", metrics.batches);
    out.histogram("walcast_batch_bytes", "Sizes of batches that hold messages.",
                  metrics.batch_bytes);
    out.histogram("walcast_batch_seconds", "From a batch's sending to its acceptance.",
                  metrics.batch_seconds);
    out.histogram(
        "walcast_commit_to_published_seconds",
        "From the commit of a batch's last transaction, by Postgres' clock, until Redis had "
        "it, by ours.",
        metrics.commit_seconds);
    out.gauge("walcast_queue_batches", "Batches not accepted yet.", number(metrics.queue_batches));
    out.gauge("walcast_queue_bytes", "What they hold.", number(metrics.queue_bytes));
    out.gauge("walcast_waiting_for_replicas",
              "1 while fewer than wait_replicas have what was published: nothing is confirmed.",
              metrics.is_durable ? 0.0 : 1.0);
}

void add_progress(Families& out, const Metrics& metrics, std::optional<double> accepted_age) {
    out.gauge("walcast_accepted_age_seconds", "Since Redis accepted a batch.", accepted_age);
    out.gauge("walcast_sync_id", "The last sync id in Redis.", number(metrics.sync_id));
    out.gauge("walcast_wal_end_lsn", "The end of the server's WAL, as asked once a heartbeat.",
              number(metrics.wal_end.value));
    out.gauge("walcast_received_lsn", "All up to it was read.", number(metrics.received_lsn.value));
    out.gauge("walcast_accepted_lsn", "All up to it is in Redis.",
              number(metrics.accepted_lsn.value));
    out.gauge("walcast_confirmed_lsn", "All up to it Postgres may forget.",
              number(metrics.confirmed_lsn.value));
    out.gauge("walcast_confirmed_lag_bytes", "WAL that was not confirmed yet.",
              number(confirmed_lag_bytes(metrics)));
    out.gauge("walcast_slot_retained_bytes", "WAL that the slot keeps from being removed.",
              number(metrics.slot_retained_bytes));
    out.gauge("walcast_slot_safe_bytes",
              "WAL that may still be written before the slot is lost; absent without a limit.",
              number(metrics.slot_safe_bytes));
}

void add_troubles(Families& out, const Metrics& metrics) {
    out.counter("walcast_sessions_total", "Sessions that reached streaming.", metrics.sessions);
    out.counters("walcast_sessions_ended_total", "Sessions that ended with an error, by its side.",
                 "by",
                 {{"postgres", metrics.sessions_ended_by_postgres},
                  {"redis", metrics.sessions_ended_by_redis}});
    out.counter("walcast_redis_losses_total", "Losses of Redis, or attempts to connect in vain.",
                metrics.redis_losses);
    out.counter("walcast_epochs_total", "Epochs begun: continuity was lost.", metrics.epochs);
    out.gauge("walcast_rules", "Rules in force.", number(metrics.rules));
    out.counters("walcast_reloads_total", "Reloads of the rules, by how they ended.", "result",
                 {{"done", metrics.reloads}, {"failed", metrics.reloads_failed}});
}

void add_heartbeats(Families& out, const Metrics& metrics, std::optional<double> returned_age) {
    out.counter("walcast_heartbeats_sent_total", "Heartbeats written to Postgres.",
                metrics.heartbeats_sent);
    out.counter("walcast_heartbeats_returned_total",
                "Heartbeats that came through Postgres, walcast and Redis.",
                metrics.heartbeats_returned);
    out.gauge("walcast_heartbeat_age_seconds", "Since one came through.", returned_age);
    if (metrics.heartbeat_returned_at)
        out.gauge("walcast_heartbeat_round_trip_seconds", "What the last one took.",
                  metrics.heartbeat_seconds);
}

// By the names that dashboards know.
void add_process(Families& out, const ProcessFacts& process, std::string_view version) {
    out.labelled_gauge("walcast_build_info", "1; the version is a label.", "version", version, 1);
    out.counter("process_cpu_seconds_total", "User and system time.", process.cpu_seconds);
    out.gauge("process_resident_memory_bytes", "Resident memory.", number(process.resident_bytes));
    out.gauge("process_open_fds", "Open file descriptors.", number(process.open_descriptors));
    out.gauge("process_max_fds", "How many there may be.", number(process.descriptors_max));
}

}  // namespace

std::string metrics_text(const Metrics& metrics, const ProcessFacts& process,
                         std::string_view version, Clock::time_point now) {
    Families families;
    add_state(families, metrics);
    add_stream(families, metrics);
    add_sink(families, metrics);
    add_progress(families, metrics, seconds_since(metrics.accepted_at, now));
    add_troubles(families, metrics);
    add_heartbeats(families, metrics, seconds_since(metrics.heartbeat_returned_at, now));
    add_process(families, process, version);
    return families.text();
}

}  // namespace walcast
