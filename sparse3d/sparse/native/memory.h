// Kept memory, see memory.cpp.

#pragma once

#include <cstddef>

// `bytes` that are not cleared, at a page; null where there are none, or SPARSE3D_KEEP_MEMORY is 0. They are given back with the same number.
void* take_kept(std::size_t bytes);
void give_kept(void* place, std::size_t bytes);
