// Fuzzes the connection table: the bytes are a sequence of operations, applied to the table and to a plain map. A
// difference throws, which libFuzzer and the replay both report.

#include "table_model.hh"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  pepsal::test::TableModel{{data, size}}.run();
  return 0;
}
