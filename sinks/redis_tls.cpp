#include "sinks/redis_tls.hpp"

#include "sinks/sink.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace walcast {

using boost::system::error_code;

// OpenSSL's own errors name no file.
static void check(const error_code& error, std::string_view parameter, const std::string& file,
                  std::string_view what) {
    if (!error) return;
    throw SinkError(fmt::format("redis: {} {}: {} ({})", parameter, file, what, error.message()));
}

static void expect_readable(std::string_view parameter, const std::string& file) {
    if (!std::ifstream(file))
        throw SinkError(fmt::format("redis: {} {}: {}", parameter, file, std::strerror(errno)));
}

asio::ssl::context make_tls_context(const RedisAddress& address) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    context.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
    context.set_verify_mode(asio::ssl::verify_peer);
    error_code error;
    if (address.sslrootcert.empty()) {
        context.set_default_verify_paths();
    } else {
        expect_readable("sslrootcert", address.sslrootcert);
        context.load_verify_file(address.sslrootcert, error);
        check(error, "sslrootcert", address.sslrootcert, "not a certificate in PEM");
    }
    if (address.sslcert.empty()) return context;

    expect_readable("sslcert", address.sslcert);
    context.use_certificate_chain_file(address.sslcert, error);
    check(error, "sslcert", address.sslcert, "not a certificate in PEM");
    expect_readable("sslkey", address.sslkey);
    // OpenSSL would ask for a passphrase on the terminal.
    context.set_password_callback([](std::size_t, auto) { return std::string(); });
    context.use_private_key_file(address.sslkey, asio::ssl::context::pem, error);
    check(error, "sslkey", address.sslkey, "not the key of sslcert, in PEM without passphrase");
    return context;
}

void expect_host(SSL* tls, const std::string& host) {
    error_code error;
    asio::ip::make_address(host, error);
    auto is_address = !error;
    auto* parameters = SSL_get0_param(tls);
    auto refuse = [&] {
        throw SinkError(fmt::format("redis: the host {} cannot be verified by TLS", host));
    };
    if (is_address) {
        if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) != 1) refuse();
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(parameters, host.data(), host.size()) != 1) refuse();
    SSL_set_tlsext_host_name(tls, host.c_str());
}

static std::string explain_certificate(long result, const RedisAddress& address) {
    auto hint = [&]() -> std::string {
        switch (result) {
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
            case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
                if (address.sslrootcert.empty())
                    return ": give its authority's certificate with ?sslrootcert=/path in [redis] "
                           "url";
                return fmt::format(": {} is not its authority's certificate", address.sslrootcert);
            case X509_V_ERR_HOSTNAME_MISMATCH:
            case X509_V_ERR_IP_ADDRESS_MISMATCH:
                return fmt::format(
                    ": the server's certificate is not for {}; connect by a name that is in it",
                    address.host);
            case X509_V_ERR_CERT_HAS_EXPIRED: return ": renew the server's certificate";
            default: return {};
        }
    };
    return fmt::format("certificate verify failed: {}{}", X509_verify_cert_error_string(result),
                       hint());
}

std::string explain_tls(const error_code& error, const RedisAddress& address, SSL* tls) {
    if (auto result = SSL_get_verify_result(tls); result != X509_V_OK)
        return explain_certificate(result, address);
    if (error.category() != asio::error::get_ssl_category()) return error.message();
    auto reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
    switch (reason) {
        case SSL_R_WRONG_VERSION_NUMBER:
            return fmt::format("{}: does it speak TLS at all there? Without, it is redis://",
                               error.message());
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return fmt::format(
                "{}: it demands a client certificate; give ?sslcert=/path&sslkey=/path in [redis] "
                "url",
                error.message());
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
            return fmt::format("{}: its `tls-ca-cert-file` does not know the authority of {}",
                               error.message(), address.sslcert);
        default: return error.message();
    }
}

}  // namespace walcast
