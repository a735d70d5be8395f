#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What mends a finding: statements for psql, commands for a shell, or what the configuration should
// say.
struct Mend {
    enum class Where { sql, shell, config } where = Where::sql;
    std::vector<std::string> lines;

    bool operator==(const Mend&) const = default;
};

// Something that goes wrong, or will.
struct Finding {
    // A note is for those who did not mean it: nothing is wrong.
    enum class Level { error, warning, note } level = Level::error;
    std::string_view check;  // Its name, for programs: "delete-unroutable".
    std::string place;       // walcast.toml:12:1; or "postgres", "redis"
    std::string table = {};  // schema.table
    std::vector<std::string> columns = {};
    std::string what = {};
    std::vector<Mend> mends = {};  // Any one of them.
};

using Findings = std::vector<Finding>;

// Whether anything of them is more than a note.
bool is_anything_wrong(const Findings& findings);

// For a terminal, which nothing in it can steer: a line each, what mends it below, and how many
// there are.
std::string show_text(const Findings& findings);

// A JSON array.
std::string findings_json(const Findings& findings);

// One JSON object, with its line end.
std::string show_json(const Findings& findings);

// `a`, `a and b`, `a, b and c`
std::string enumerate(const std::vector<std::string>& names);

// A list of TOML: `["a", "b"]`
std::string toml_list(const std::vector<std::string>& texts);

// One word for a shell, whatever is in it.
std::string shell_quoted(std::string_view text);

// A name in a statement to be printed: quoted, and without control characters as they are.
std::string printable_identifier(std::string_view name);
std::string printable_table(std::string_view schema, std::string_view name);

}  // namespace walcast
