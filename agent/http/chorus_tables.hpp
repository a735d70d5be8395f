#pragma once

#include "agent/http/bootstrap_routes.hpp"
#include "agent/published_table.hpp"
#include "agent/rules/router.hpp"
#include "agent/turns.hpp"
#include "sinks/awaitable.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The tables that outputs with envelope = "chorus" tell of, as rules and catalogs have them.
class ChorusTables {
public:
    struct Table {
        std::string model;
        std::string fields;  // As Chorus' client wants them: `id, title, done`, the key first.
        const TableRule* rule = nullptr;
    };
    struct Found {
        std::vector<Table> tables;  // By model, each once.

        // Nothing where there is none.
        const Table* find(std::string_view model) const;

    private:
        friend class ChorusTables;
        struct Described {
            PublishedTable published;
            Catalog catalog;
            std::optional<Router> router;
        };
        std::vector<Rule> rules_;
        std::vector<std::unique_ptr<Described>> described_;
        Clock::time_point at_;
    };

    explicit ChorusTables(std::shared_ptr<BootstrapService> service)
        : service_(std::move(service)), turns_(service_->executor) {}

    // Whether there is such an output.
    bool has_output() const;

    // As they were some seconds ago at most: every client that begins asks. Throws NotStreaming,
    // PgError, SetupError.
    asio::awaitable<std::shared_ptr<const Found>> find();

private:
    bool is_told(const std::string& model) const;
    asio::awaitable<std::shared_ptr<const Found>> find_in_turn();
    asio::awaitable<std::shared_ptr<const Found>> read();
    asio::awaitable<void> describe(PgConnection& connection, ListedTable listed, Found& found);

    std::shared_ptr<BootstrapService> service_;
    Turns turns_;
    std::shared_ptr<const Found> found_;
};

// The fields of a rule's data, without those whose names Dexie would read as something else.
std::string dexie_fields(const TableRule& rule);

}  // namespace walcast
