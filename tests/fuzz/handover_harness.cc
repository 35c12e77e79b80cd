// Fuzzes the description that one program hands over to the next in a restart in place. What is understood is the same
// when written out and read again; everything else is refused.

#include <string>

#include "harness.hh"
#include "manager/handover.hh"

using namespace pepsal;
using namespace pepsal::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  try {
    const auto handover = Handover::from_text(std::string{text_of({data, size})});
    const auto text = handover.to_text();
    require(Handover::from_text(text).to_text() == text, "written out it says something else");
  } catch (const std::runtime_error& refusal) {
    require(*refusal.what() != '\0', "a handover is refused without a reason");
  }
  return 0;
}
