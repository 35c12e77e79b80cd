// Random and burst loss of one direction of the emulated link. Used by Link for every packet that has left the
// serialiser; cannot fail.

#include "satsim/loss_model.hh"

namespace pepsal::satsim {

LossModel::LossModel(double random_loss, const BurstLoss& burst, std::uint64_t seed)
    : random_loss_{random_loss}
    , burst_{burst}
    , generator_{seed}
{}

void LossModel::set_random_loss(double probability)
{
  random_loss_ = probability;
}

bool LossModel::draw(double probability)
{
  // The upper 53 bits make a double in [0, 1) without rounding.
  const double uniform = static_cast<double>(generator_() >> 11) * 0x1.0p-53;
  return uniform < probability;
}

bool LossModel::next_is_lost()
{
  const bool lost_at_random = draw(random_loss_);
  const bool changes_state = draw(bad_ ? burst_.bad_to_good : burst_.good_to_bad);
  bad_ = bad_ != changes_state;
  const bool lost_in_burst = draw(bad_ ? burst_.loss_in_bad : burst_.loss_in_good);
  return lost_at_random || lost_in_burst;
}

} // namespace pepsal::satsim
