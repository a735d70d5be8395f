#include "agent/rules/channel_names.hpp"

#include "agent/rules/channel_template.hpp"

#include <algorithm>

namespace walcast {

using Part = TableRule::Part;

std::size_t ChannelNames::put_shared_first(std::size_t begin, std::size_t end,
                                           std::size_t other_begin, std::size_t other_end) {
    auto name_of = [this](std::size_t i) { return (*this)[i]; };
    index_.clear();
    for (auto i = other_begin; i < other_end; ++i) index_.put(i, name_of);
    rest_.clear();
    auto middle = begin;
    for (auto i = begin; i < end; ++i) {
        if (index_.find((*this)[i], name_of))
            slices_[middle++] = slices_[i];
        else
            rest_.push_back(slices_[i]);
    }
    std::copy(rest_.begin(), rest_.end(), slices_.begin() + static_cast<std::ptrdiff_t>(middle));
    return middle;
}

ChannelNames::Outcome ChannelNames::append(const TableRule& rule, const KnownRow& row) {
    first_ = slices_.size();
    index_.clear();
    for (const auto& parts : rule.channels) {
        if (!read_values(parts, row)) {
            slices_.resize(first_);
            return Outcome::unknown;
        }
        name_.clear();
        tries_ = 0;
        if (has_nothing(parts)) continue;
        extend(parts, 0);
        if (slices_.size() - first_ > channels_max || tries_ > tries_max) {
            slices_.resize(first_);
            return Outcome::too_many;
        }
    }
    return Outcome::known;
}

// False where a column is not known.
bool ChannelNames::read_values(const std::vector<Part>& parts, const KnownRow& row) {
    values_.resize(std::max(values_.size(), parts.size()));
    nested_.resize(std::max(nested_.size(), parts.size()));
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto& part = parts[i];
        if (part.kind == Part::Kind::literal) continue;
        values_[i] = row.value(part.index);
        if (values_[i] == nullptr) return false;
        if (values_[i]->kind == Value::Kind::null) continue;
        if (part.kind == Part::Kind::array)
            nested_[i].read_array(*part.type, values_[i]->text);
        else if (part.kind == Part::Kind::json)
            nested_[i].read_json(values_[i]->text, part.keys);
    }
    return true;
}

// A column is null, or an array empty: no name, in however many ways the rest could be written.
bool ChannelNames::has_nothing(const std::vector<Part>& parts) const {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i].kind == Part::Kind::literal) continue;
        auto is_nested = parts[i].kind != Part::Kind::column;
        if (values_[i]->kind == Value::Kind::null || (is_nested && nested_[i].size() == 0))
            return true;
    }
    return false;
}

// Appends the rest of a name, from one part on, in each way that there is.
void ChannelNames::extend(const std::vector<Part>& parts, std::size_t at) {
    if (slices_.size() - first_ > channels_max || tries_ > tries_max) return;
    if (at == parts.size()) return add(name_);
    const auto& part = parts[at];
    auto size = name_.size();
    if (part.kind == Part::Kind::literal) {
        name_ += part.text;
        extend(parts, at + 1);
    } else if (part.kind == Part::Kind::column) {
        append_channel_value(name_, values_[at]->text);
        extend(parts, at + 1);
    } else {
        for (std::size_t i = 0; i < nested_[at].size(); ++i) {
            append_channel_value(name_, nested_[at][i]);
            extend(parts, at + 1);
            name_.resize(size);
        }
    }
    name_.resize(size);
}

void ChannelNames::add(std::string_view name) {
    ++tries_;
    if (name.size() > channel_bytes_max) {
        has_too_long_ = true;
        return;
    }
    auto name_of = [this](std::size_t i) { return (*this)[i]; };
    if (index_.find(name, name_of)) return;
    slices_.push_back({bytes_.size(), name.size()});
    bytes_ += name;
    index_.put(slices_.size() - 1, name_of);
}

}  // namespace walcast
