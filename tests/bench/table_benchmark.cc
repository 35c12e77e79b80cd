// What the operations of the connection table cost, by load and size of the table: insert (a SYN is recorded), find (a
// proxy claims the entry, or there is none), free, and a collection. Each time is that of one operation on a random
// client, in batches so that reading the clock does not matter. O(1) means that a column stays level from 10 % to 90 %
// load; only caches may make a difference between sizes.

#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "shared/connection_table.hh"

using namespace pepsal;

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Owner queuer = 1;
constexpr Owner proxy = 2;
constexpr std::size_t batch = 100; // below 1 % of the smallest table

Connection connection_from(std::uint64_t client, std::uint16_t server = 0)
{
  Connection result;
  result.client = *Endpoint::parse("2001:db8::", static_cast<std::uint16_t>(client));
  for (unsigned i = 0; i < 6; ++i) {
    result.client.address[15 - i] = static_cast<std::uint8_t>(client >> (16 + 8 * i));
  }
  result.server = *Endpoint::parse("192.0.2.1", server);
  return result;
}

// A table of `slots`, `percent` of which are taken by pending entries of random clients.
class LoadedTable
{
public:
  LoadedTable(std::uint32_t slots, std::uint32_t percent)
      : segment_{SharedSegment::anonymous({.max_connections = slots / 5 * 4, .processes = 8})}
  {
    segment_.header().max_connections = slots; // so that 90 % can be reached
    while (table_.size() < std::uint64_t{slots} * percent / 100) {
      table_.insert_pending(connection_from(random_()), queuer, BootTime{1});
    }
    for (auto& connection : fresh_) {
      connection = connection_from(random_());
    }
    claims_.reserve(batch);
  }

  ConnectionTable& table() { return table_; }

  double insert_batch()
  {
    return timed([&] {
      for (const auto& connection : fresh_) {
        full_ += table_.insert_pending(connection, queuer, BootTime{1}) == ConnectionTable::Insertion::full ? 1 : 0;
      }
    });
  }

  double claim_batch()
  {
    claims_.clear();
    return timed([&] {
      for (const auto& connection : fresh_) {
        if (auto claim = table_.claim(connection.client, connection.server, proxy, BootTime{1})) {
          claims_.push_back(*claim);
        }
      }
    });
  }

  double release_batch()
  {
    return timed([&] {
      for (const auto& claim : claims_) {
        table_.release(claim);
      }
    });
  }

  void report(benchmark::State& state) const
  {
    std::uint32_t reach = 0;
    for (const auto& bucket : segment_.buckets()) {
      reach = std::max(reach, bucket.reach.load());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
    state.counters["reach"] = reach;
    state.counters["full"] = static_cast<double>(full_);
    using benchmark::Counter;
    state.counters["per_op"] = Counter(batch, Counter::kIsIterationInvariantRate | Counter::kInvert);
  }

private:
  template<typename Work> static double timed(const Work& work)
  {
    const auto start = Clock::now();
    work();
    return Seconds{Clock::now() - start}.count();
  }

  SharedSegment segment_;
  ConnectionTable table_{segment_};
  std::mt19937_64 random_{1};
  std::vector<Connection> fresh_ = std::vector<Connection>(batch);
  std::vector<ConnectionTable::Claim> claims_;
  std::uint64_t full_{};
};

enum class Timed
{
  insert,
  find,
  find_nothing,
  free
};

void run(benchmark::State& state, Timed what, LoadedTable& loaded)
{
  for (auto _ : state) {
    const auto missing = what == Timed::find_nothing ? loaded.claim_batch() : 0;
    const auto insert = loaded.insert_batch();
    const auto find = loaded.claim_batch();
    const auto free = loaded.release_batch();
    switch (what) {
    case Timed::insert:
      state.SetIterationTime(insert);
      break;
    case Timed::find:
      state.SetIterationTime(find);
      break;
    case Timed::find_nothing:
      state.SetIterationTime(missing);
      break;
    case Timed::free:
      state.SetIterationTime(free);
      break;
    }
  }
  loaded.report(state);
}

void at_load(benchmark::State& state, Timed what)
{
  LoadedTable loaded{static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1))};
  run(state, what, loaded);
}

// An emptied table that was once 90 % full: shows the cost of the reach of spilling, which never shrinks.
void find_after_flood(benchmark::State& state)
{
  LoadedTable loaded{static_cast<std::uint32_t>(state.range(0)), 90};
  loaded.table().collect(BootTime::max(), [](Owner) { return true; });
  run(state, Timed::find, loaded);
}

// SYNs from one source address and port to ever different servers: all hash to the same bucket.
void insert_from_one_client(benchmark::State& state)
{
  const auto segment = SharedSegment::anonymous({.max_connections = 8192, .processes = 8});
  ConnectionTable table{segment};
  std::uint16_t server = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.insert_pending(connection_from(1, ++server), queuer, BootTime{1}));
  }
  state.counters["entries"] = table.size();
}

void collection(benchmark::State& state)
{
  LoadedTable loaded{static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1))};
  for (auto _ : state) {
    benchmark::DoNotOptimize(loaded.table().collect(BootTime::min(), [](Owner) { return true; }));
  }
}

const std::vector<std::vector<std::int64_t>> sizes_and_loads{{1 << 14, 1 << 17, 1 << 20}, {10, 50, 90}};

void by_size_and_load(benchmark::internal::Benchmark* benchmark)
{
  benchmark->ArgNames({"slots", "load"})->ArgsProduct(sizes_and_loads)->UseManualTime()->MinTime(0.2);
}

BENCHMARK_CAPTURE(at_load, insert, Timed::insert)->Apply(by_size_and_load);
BENCHMARK_CAPTURE(at_load, find, Timed::find)->Apply(by_size_and_load);
BENCHMARK_CAPTURE(at_load, find_nothing, Timed::find_nothing)->Apply(by_size_and_load);
BENCHMARK_CAPTURE(at_load, free, Timed::free)->Apply(by_size_and_load);
BENCHMARK(find_after_flood)->ArgName("slots")->Arg(1 << 14)->Arg(1 << 20)->UseManualTime()->MinTime(0.2);
BENCHMARK(insert_from_one_client)->Iterations(60'000);
BENCHMARK(collection)
    ->ArgNames({"slots", "load"})
    ->ArgsProduct(sizes_and_loads)
    ->Unit(benchmark::kMicrosecond)
    ->MinTime(0.1);

} // namespace

BENCHMARK_MAIN();
