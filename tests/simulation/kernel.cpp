// A kernel for loops whose time is virtual, in place of the system's: Asio waits by these
// functions. Nothing comes from outside, and a timer set is a timer due, so that a loop that is
// polled looks at its timers each time: the real timerfd rings only some time later. No system call
// is left either.

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <map>
#include <set>

static std::set<int>& timers() {
    static std::set<int> numbers;
    return numbers;
}

// What each epoll returns when its timer is due.
static std::map<int, epoll_data_t>& due() {
    static std::map<int, epoll_data_t> data;
    return data;
}

extern "C" {

int timerfd_create(int clock, int flags) noexcept {
    auto timer = static_cast<int>(syscall(SYS_timerfd_create, clock, flags));
    timers().insert(timer);
    return timer;
}

int timerfd_settime(int, int, const itimerspec*, itimerspec*) noexcept {
    return 0;
}

int epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
    if (operation == EPOLL_CTL_ADD && timers().contains(descriptor)) due()[epoll] = event->data;
    return 0;
}

int epoll_wait(int epoll, epoll_event* events, int, int) {
    auto found = due().find(epoll);
    if (found == due().end()) return 0;
    events[0].events = EPOLLIN;
    events[0].data = found->second;
    return 1;
}
}
