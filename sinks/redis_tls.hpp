#pragma once

#include "sinks/awaitable.hpp"
#include "sinks/redis_address.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

#include <string>

namespace walcast {

// TLS as `address` wants it: 1.2 or later, the server's certificate verified. Its files are read
// each time, so that renewed ones count from the next connection on. Throws SinkError that names
// the file.
asio::ssl::context make_tls_context(const RedisAddress& address);

// Verifies that the certificate is for the host, be it a name or an address.
void expect_host(SSL* tls, const std::string& host);

// What a failed handshake, or an alert afterwards, means to the operator.
std::string explain_tls(const boost::system::error_code& error, const RedisAddress& address,
                        SSL* tls);

}  // namespace walcast
