#pragma once

#include "agent/concurrency.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <list>
#include <utility>

namespace walcast {

// Lets one coroutine after the other have something, in the order in which they asked.
class Turns {
public:
    explicit Turns(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    // Ends with the object.
    class Turn {
    public:
        explicit Turn(Turns& turns) : turns_(&turns) {}
        ~Turn() {
            if (turns_ != nullptr) turns_->end();
        }
        Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;

    private:
        Turns* turns_;
    };

    asio::awaitable<Turn> take() {
        Waiting waiting(*this);
        while (is_taken_ || waiting_.front() != &waiting) co_await waiting.ended.wait();
        is_taken_ = true;
        co_return Turn(*this);
    }

private:
    struct Waiting {
        explicit Waiting(Turns& of)
            : turns(of), ended(of.executor_), place(of.waiting_.insert(of.waiting_.end(), this)) {}
        ~Waiting() {
            turns.waiting_.erase(place);
            turns.tell_next();  // It may have been cancelled just when it was its turn.
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;

        Turns& turns;
        Signal ended;
        std::list<Waiting*>::iterator place;
    };

    void end() {
        is_taken_ = false;
        tell_next();
    }
    void tell_next() {
        if (!is_taken_ && !waiting_.empty()) waiting_.front()->ended.raise();
    }

    asio::any_io_executor executor_;
    std::list<Waiting*> waiting_;
    bool is_taken_ = false;
};

}  // namespace walcast
