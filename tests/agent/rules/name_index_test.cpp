#include "agent/rules/name_index.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace walcast {

namespace {

class NameIndexTest : public testing::Test {
protected:
    void put(const std::string& name) {
        names.push_back(name);
        index.put(names.size() - 1, [this](std::size_t number) { return view(number); });
    }
    std::optional<std::size_t> find(const std::string& name) const {
        return index.find(name, [this](std::size_t number) { return view(number); });
    }
    std::string_view view(std::size_t number) const { return names[number]; }

    std::vector<std::string> names;
    NameIndex index;
};

}  // namespace

TEST_F(NameIndexTest, FindsWhatWasPutInAtEachSize) {
    for (std::size_t count = 0; count < 2000; ++count) {
        ASSERT_EQ(find(std::to_string(count)), std::nullopt);
        put(std::to_string(count));
        if (count % 97 != 0 && count > 20) continue;
        for (std::size_t i = 0; i <= count; ++i) ASSERT_EQ(find(std::to_string(i)), i);
    }
}

TEST_F(NameIndexTest, ForgetsAllWhenCleared) {
    for (auto count : {3, 300, 4, 9, 10}) {
        index.clear();
        names.clear();
        ASSERT_EQ(find("0"), std::nullopt);
        for (auto i = 0; i < count; ++i) put(std::to_string(i));
        ASSERT_EQ(find(std::to_string(count)), std::nullopt);
        for (auto i = 0; i < count; ++i)
            ASSERT_EQ(find(std::to_string(i)), static_cast<std::size_t>(i));
    }
}

}  // namespace walcast
