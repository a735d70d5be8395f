#include "agent/process.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace walcast {

ProcessFacts process_facts() {
    ProcessFacts facts;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    facts.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    // getrlimit is the system call prlimit64, which filters of services may forbid.
    constexpr std::string_view name = "Max open files";
    std::ifstream limits("/proc/self/limits");
    for (std::string line; std::getline(limits, line);)
        if (line.starts_with(name))
            std::istringstream(line.substr(name.size())) >> facts.descriptors_max;

    std::uint64_t pages = 0;
    std::uint64_t resident_pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident_pages;
    facts.resident_bytes = resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));

    // The listing's own descriptor counts; without one left there is no listing.
    std::error_code error;
    std::filesystem::directory_iterator listing("/proc/self/fd", error);
    while (!error && listing != std::filesystem::directory_iterator{}) {
        ++facts.open_descriptors;
        listing.increment(error);
    }
    return facts;
}

}  // namespace walcast
