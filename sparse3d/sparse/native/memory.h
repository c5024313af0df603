// Kept memory, see memory.cpp.

#pragma once

#include <cstddef>

// False where SPARSE3D_KEEP_MEMORY is 0.
bool keeps_memory();

// `bytes` that are not cleared, at a page; null where there are none, or memory is not to be kept. They are given back with the same number.
void* take_kept(std::size_t bytes);
void give_kept(void* place, std::size_t bytes);
