#pragma once

namespace pepsal {

// Moves this program's code and constants from the file to anonymous huge pages, where that can be
// had. A forked process then has them by one entry of its page table, instead of a page fault for every
// 64 kB that it comes to and the release of all those at its end: a sixth of what a process per
// connection costs. Returns whether it worked; if not (kernel before 6.1, no huge page free, executable
// memory forbidden by a security module) all stays as it was. Only while there is one thread. perf(1) finds no
// file behind the code then.
bool move_text_to_huge_pages();

} // namespace pepsal
