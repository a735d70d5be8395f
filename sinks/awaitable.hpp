#pragma once

#include <boost/asio/awaitable.hpp>

namespace walcast {

namespace asio = boost::asio;

}  // namespace walcast
