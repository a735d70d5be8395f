#pragma once

#include "agent/recording/mask_form.hpp"

#include <string>
#include <string_view>

namespace walcast {

// Masks JSON, names and strings as texts, numbers as numbers; true, false and null stay, and so do
// the names of the outermost members if they are ours. Throws OtherForm for what is no JSON.
enum class OutermostNames { masked, kept };
std::string mask_json(const FormMasker& masker, std::string_view text, OutermostNames names);

}  // namespace walcast
