#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace walcast {

// How a value is written as JSON (docs/types.md). What is not listed is a string of the server's
// text.
enum class JsonForm : std::uint8_t {
    string,
    number,         // As it is: int2, int4, and all numbers where the policy says so.
    exact_integer,  // A number while |n| < 2^53, which JavaScript keeps exact; otherwise a string.
    exact_numeric,  // A number while 15 significant digits hold it, as a double does; or a string.
    floating,       // A number; NaN and the infinities are strings. Also numerics under `numbers`.
    boolean,
    timestamp,    // ISO 8601 without a zone: 2024-01-02T03:04:05.12
    timestamptz,  // ISO 8601 in UTC: 2024-01-02T03:04:05.12Z
    json,         // Embedded as it is.
    base64,       // bytea, of which the server's text is \x and hexadecimal digits.
    array,      // Nested arrays; with bounds that do not begin at 1 a string of the server's text.
    vector,     // int2vector, oidvector: a JSON array too.
    composite,  // An object of its fields.
    hstore,     // An object of strings and nulls.
};

// How the values of one type are written.
struct JsonType {
    struct Field {
        std::string key;  // `"street":`
        const JsonType* type = nullptr;
    };
    JsonForm form = JsonForm::string;
    const JsonType* element = nullptr;  // array, vector
    char delimiter = ',';               // array: between the elements; boxes have ';'.
    std::vector<Field> fields = {};     // composite
    std::uint32_t oid = 0;              // 0 where nothing is known. A domain has its base's.
    bool is_enum = false;
};

// What the user decides about values.
struct JsonPolicy {
    enum class Numbers {
        exact,    // Numbers where a double keeps every digit, otherwise strings.
        strings,  // int8 and numeric are always strings.
        numbers,  // Always numbers, of whatever length; only NaN and the infinities are strings.
    };
    enum class Bytes { hex, base64 };
    Numbers numbers = Numbers::exact;
    Bytes bytes = Bytes::hex;
};

// The OIDs from which on types are not built in.
inline constexpr std::uint32_t first_catalog_oid = 10'000;

// A type as the catalog has it.
struct TypeDescription {
    enum class Kind : std::uint8_t { base, array, composite, domain, enumeration, hstore };
    struct Field {
        std::string name;
        std::uint32_t type_oid = 0;
    };
    std::uint32_t oid = 0;
    Kind kind = Kind::base;
    std::uint32_t of = 0;  // The element of an array, the base of a domain.
    char delimiter = ',';  // Of an array's elements.
    std::vector<Field> fields = {};
};

// Every type that a stream may hold, by OID. The built-in ones are there from the start; others are
// added as the catalog tells them.
class JsonTypes {
public:
    explicit JsonTypes(JsonPolicy policy = {});

    // False for a type that is not built in and was not added: the catalog is to be asked.
    bool knows(std::uint32_t oid) const;

    // Types may refer to each other in any order; what is not known when all are added is a string
    // until it is. Adding a type again replaces it; built-in types stay as they are. Throws
    // ValueError when a field's name is not UTF-8.
    void add(const std::vector<TypeDescription>& types);

    // A string for a type that is not known. The reference stays valid and follows a type added
    // again.
    const JsonType& of(std::uint32_t oid) const;

private:
    struct Slot {
        JsonType type;
        enum class Origin : std::uint8_t { referred_to, added, built_in } origin = {};
        const Slot* base = nullptr;  // Of a domain, whose type is a copy of its base's.
    };

    Slot& slot(std::uint32_t oid);
    void add_built_in(std::uint32_t oid, std::uint32_t array_oid, const JsonType& type,
                      char delimiter = ',');
    JsonType type_of(const TypeDescription& description);
    void resolve_domains();

    std::unordered_map<std::uint32_t, std::unique_ptr<Slot>> slots_;
};

}  // namespace walcast
