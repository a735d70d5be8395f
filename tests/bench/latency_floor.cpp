#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

// The least that any program between a replication slot and Redis can do, as the lower bound of the
// benchmark's latency: blocking calls, no decoding, no JSON, no history, no position, nothing
// confirmed. It publishes the digits behind the first # of each row.
//
//   latency_floor CONNINFO SLOT REDIS_PORT_OR_SOCKET
//
// Prints "ready" once the stream has begun.

[[noreturn]] static void fail(const char* what, const char* why) {
    std::fprintf(stderr, "latency_floor: %s: %s\n", what, why);
    std::exit(1);
}

static int connect_to_redis(const std::string& where) {
    auto is_path = where[0] == '/';
    auto redis = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    sockaddr_in tcp{};
    tcp.sin_family = AF_INET;
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp.sin_port = is_path ? 0 : htons(static_cast<std::uint16_t>(std::stoi(where)));
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    if (is_path) std::strncpy(local.sun_path, where.c_str(), sizeof local.sun_path - 1);
    const auto* address =
        is_path ? reinterpret_cast<sockaddr*>(&local) : reinterpret_cast<sockaddr*>(&tcp);
    auto size = static_cast<socklen_t>(is_path ? sizeof local : sizeof tcp);
    if (redis < 0 || connect(redis, address, size) != 0) fail("Redis", std::strerror(errno));
    auto yes = 1;
    if (!is_path) setsockopt(redis, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return redis;
}

static std::string title_of(std::string_view row) {
    auto begin = row.find('#');
    if (begin == std::string_view::npos) return "";
    auto end = begin + 1;
    while (end < row.size() && std::isdigit(static_cast<unsigned char>(row[end])) != 0) ++end;
    return "\"title\":\"" + std::string(row.substr(begin, end - begin)) + "\"";
}

int main(int argc, char** argv) {
    if (argc != 4) fail("arguments", "CONNINFO SLOT REDIS_PORT_OR_SOCKET");
    auto redis = connect_to_redis(argv[3]);
    auto conninfo = std::string(argv[1]) + " replication=database";
    auto* postgres = PQconnectdb(conninfo.c_str());
    auto start =
        "START_REPLICATION SLOT \"" + std::string(argv[2]) +
        R"(" LOGICAL 0/0 (proto_version '1', publication_names 'walcast', messages 'true'))";
    auto* result = PQexec(postgres, start.c_str());
    if (PQresultStatus(result) != PGRES_COPY_BOTH) fail("Postgres", PQerrorMessage(postgres));
    PQclear(result);
    std::puts("ready");
    std::fflush(stdout);

    std::array<char, 4096> replies{};
    std::string command;
    constexpr std::size_t header = 25;  // Of XLogData.
    for (char* frame = nullptr;;) {
        auto size = PQgetCopyData(postgres, &frame, 0);
        if (size < 0) fail("stream", PQerrorMessage(postgres));
        std::string_view bytes(frame, static_cast<std::size_t>(size));
        if (bytes[0] == 'w' && bytes[header] == 'I') {
            auto message = title_of(bytes.substr(header));
            command += "*3\r\n$7\r\nPUBLISH\r\n$15\r\nworkspace:floor\r\n$" +
                       std::to_string(message.size()) + "\r\n" + message + "\r\n";
        } else if (bytes[0] == 'w' && bytes[header] == 'C' && !command.empty()) {
            if (send(redis, command.data(), command.size(), MSG_NOSIGNAL) < 0)
                fail("Redis", std::strerror(errno));
            while (recv(redis, replies.data(), replies.size(), MSG_DONTWAIT) > 0) continue;
            command.clear();
        }
        PQfreemem(frame);
    }
}
