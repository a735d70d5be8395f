#include "agent/doctor/doctor_finding.hpp"

#include "agent/harmless.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

using Level = Finding::Level;
using Where = Mend::Where;

std::string enumerate(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
        text += names[i];
    }
    return text;
}

// --- statements ---

static bool is_control(std::string_view text, std::size_t i) {
    auto byte = static_cast<unsigned char>(text[i]);
    auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    return byte < 0x20 || byte == 0x7F || (byte == 0xC2 && next >= 0x80 && next < 0xA0);
}

// As quote_identifier, or U&"..." where that would print what steers a terminal; there a backslash
// of the name's own is doubled.
std::string printable_identifier(std::string_view name) {
    auto is_escaped = false;
    for (std::size_t i = 0; i < name.size(); ++i) is_escaped = is_escaped || is_control(name, i);
    std::string out = is_escaped ? "U&\"" : "\"";
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (is_control(name, i)) {
            auto is_pair = static_cast<unsigned char>(name[i]) == 0xC2;
            auto code = static_cast<unsigned char>(is_pair ? name[++i] : name[i]);
            out += fmt::format("\\{:04X}", unsigned{code});
            continue;
        }
        if (name[i] == '"' || (name[i] == '\\' && is_escaped)) out += name[i];
        out += name[i];
    }
    return out + '"';
}

std::string printable_table(std::string_view schema, std::string_view name) {
    return printable_identifier(schema) + "." + printable_identifier(name);
}

// --- text ---

static void append_mends(std::string& out, const std::vector<Mend>& mends) {
    for (std::size_t i = 0; i < mends.size(); ++i) {
        if (i > 0) out += "  or\n";
        for (const auto& line : mends[i].lines) {
            out += "    ";
            if (mends[i].where == Where::shell) out += "$ ";
            if (mends[i].where == Where::config) out += "in the configuration: ";
            append_harmless(out, line);
            out += '\n';
        }
    }
}

static std::string_view name_of(Level level) {
    switch (level) {
        case Level::error: return "error";
        case Level::warning: return "warning";
        case Level::note: return "note";
    }
    return "";
}

static std::size_t count(const Findings& findings, Level level) {
    return static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(),
                      [&](const Finding& finding) { return finding.level == level; }));
}

static std::string counted(std::size_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

bool is_anything_wrong(const Findings& findings) {
    return count(findings, Level::note) != findings.size();
}

std::string show_text(const Findings& findings) {
    if (findings.empty()) return "no findings\n";
    std::string out;
    for (std::size_t i = 0; i < findings.size(); ++i) {
        const auto& finding = findings[i];
        append_harmless(
            out, fmt::format("{}: {}: {}", finding.place, name_of(finding.level), finding.what));
        out += '\n';
        // What mends several in a row is said once, below them.
        auto is_said_below = i + 1 < findings.size() && findings[i + 1].mends == finding.mends;
        if (!is_said_below) append_mends(out, finding.mends);
    }
    auto errors = count(findings, Level::error);
    auto warnings = count(findings, Level::warning);
    auto notes = count(findings, Level::note);
    return out + fmt::format("{}, {}, {}\n", counted(errors, "error"), counted(warnings, "warning"),
                             counted(notes, "note"));
}

// --- JSON ---

// A database in SQL_ASCII may have names that are not UTF-8.
static void append_text(std::string& out, std::string_view text) {
    auto size = out.size();
    try {
        append_json_string(out, text);
    } catch (const ValueError&) {
        out.resize(size);
        std::string ascii(text);
        std::replace_if(
            ascii.begin(), ascii.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7F; },
            '?');
        append_json_string(out, ascii);
    }
}

static void append_list(std::string& out, const std::vector<std::string>& texts) {
    out += '[';
    for (const auto& text : texts) {
        if (out.back() != '[') out += ',';
        append_text(out, text);
    }
    out += ']';
}

// Strings are the same in both.
std::string toml_list(const std::vector<std::string>& texts) {
    std::string list = "[";
    for (const auto& text : texts) {
        if (list.size() > 1) list += ", ";
        append_text(list, text);
    }
    return list + ']';
}

static std::string_view name_of(Where where) {
    switch (where) {
        case Where::sql: return "sql";
        case Where::shell: return "shell";
        case Where::config: return "config";
    }
    return "";
}

static void append_finding(std::string& out, const Finding& finding) {
    out += fmt::format(R"({{"level":"{}","check":"{}","place":)", name_of(finding.level),
                       finding.check);
    append_text(out, finding.place);
    if (!finding.table.empty()) {
        out += ",\"table\":";
        append_text(out, finding.table);
    }
    if (!finding.columns.empty()) {
        out += ",\"columns\":";
        append_list(out, finding.columns);
    }
    out += ",\"what\":";
    append_text(out, finding.what);
    out += ",\"mend\":[";
    for (const auto& mend : finding.mends) {
        if (&mend != &finding.mends.front()) out += ',';
        out += fmt::format(R"({{"{}":)", name_of(mend.where));
        append_list(out, mend.lines);
        out += '}';
    }
    out += "]}";
}

std::string shell_quoted(std::string_view text) {
    std::string quoted = "'";
    for (auto c : text) {
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    }
    return quoted + "'";
}

std::string findings_json(const Findings& findings) {
    std::string out = "[";
    for (const auto& finding : findings) {
        if (&finding != &findings.front()) out += ',';
        append_finding(out, finding);
    }
    return out + ']';
}

std::string show_json(const Findings& findings) {
    return "{\"findings\":" + findings_json(findings) +
           fmt::format(",\"errors\":{},\"warnings\":{},\"notes\":{}}}\n",
                       count(findings, Level::error), count(findings, Level::warning),
                       count(findings, Level::note));
}

}  // namespace walcast
