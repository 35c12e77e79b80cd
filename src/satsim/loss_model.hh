#pragma once

#include <cstdint>
#include <random>

namespace pepsal::satsim {

// Burst loss after Gilbert and Elliott: a channel with a good and a bad state. All values are probabilities per packet,
// 0 to 1. The mean length of a stay in the bad state is 1 / bad_to_good packets.
struct BurstLoss
{
  double good_to_bad{0};
  double bad_to_good{1};
  double loss_in_bad{1};
  double loss_in_good{0};

  bool operator==(const BurstLoss&) const = default;
};

// Decides which packets are lost on the air. Every packet draws the same number of random numbers whatever the
// settings, so that a packet's fate depends only on the seed and on its position in the sequence: two runs with the
// same seed lose the same packets.
class LossModel
{
public:
  LossModel(double random_loss, const BurstLoss& burst, std::uint64_t seed);

  // Sets the probability of independent losses, 0 to 1, from the next packet on.
  void set_random_loss(double probability);

  // Draws the fate of the next packet.
  bool next_is_lost();

private:
  // True with the given probability; always takes one number from the generator.
  bool draw(double probability);

  double random_loss_;
  BurstLoss burst_;
  bool bad_{false};
  std::mt19937_64 generator_; // its sequence is fixed by the C++ standard, unlike that of the distributions
};

} // namespace pepsal::satsim
