// Long random runs of operations on small tables, compared with a plain std::multimap. The sequences are those of the
// fuzz harness, here from fixed seeds; a difference throws and names itself.

#include "../../fuzz/table_model.hh"

#include <random>

#include <gtest/gtest.h>

using pepsal::test::TableModel;

namespace {

class ModelTest : public testing::TestWithParam<unsigned>
{};

} // namespace

TEST_P(ModelTest, TableAgreesWithAMap)
{
  constexpr std::uint8_t shapes = 8; // the first byte selects one of the model's table shapes
  constexpr std::size_t bytes = 150'000;
  std::mt19937 random{GetParam()};
  std::vector<std::uint8_t> sequence(bytes);
  std::generate(sequence.begin(), sequence.end(), [&] { return static_cast<std::uint8_t>(random()); });
  sequence.front() = static_cast<std::uint8_t>(GetParam() % shapes);
  EXPECT_NO_THROW(TableModel{sequence}.run());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Range(0U, 28U));
