#pragma once

#include <string_view>

namespace walcast {

// Whether a column of this name looks as if it held a secret: `password_hash`, `apiKey`, but not
// `tokenized_at` or `token_expires_at`.
bool looks_secret(std::string_view column);

}  // namespace walcast
