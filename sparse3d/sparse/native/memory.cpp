// Memory of the large tensors that the kernels write.
//
// The system hands out untouched pages, which it must find and clear one by one when they are first written; for the outputs of a
// network's layers that takes as long as a fifth of the arithmetic. So they are cut from one stretch of addresses, whose pages stay
// for the next tensor: of the layers of one step, and of the next step. A tensor lies as low as it fits, and neighbours that
// are free become one, so that a large tensor's place serves many small ones and the other way round. Pages in use and kept
// together never exceed what was in use at the worst time, which is forgotten slowly.
//
// Blocks reach torch as DLPack tensors, whose deleter brings them back; the kernels' own scratch lies there too.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <new>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

namespace {

// The part of DLPack's ABI (dlpack.h, version 0) that is needed here.
struct DLDevice {
    int32_t type, id;
};
struct DLDataType {
    uint8_t code, bits;
    uint16_t lanes;
};
struct DLTensor {
    void* data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};
struct DLManagedTensor {
    DLTensor tensor;
    void* manager_ctx;
    void (*deleter)(DLManagedTensor*);
};
constexpr int32_t CPU = 1;
constexpr uint8_t FLOAT = 2;

class Pool {
public:
    // Null where there is no room.
    void* take(size_t wanted) {
        const std::lock_guard<std::mutex> guard(mutex);
        wanted = in_grains(wanted);
        if (!base && !reserve()) return nullptr;
        const auto lowest = first_fit(wanted);
        if (lowest == idle.end()) return nullptr;
        const size_t place = lowest->first;
        occupy(lowest, wanted);
        used += wanted;
        most = std::max(used, most - most / 65536);
        shrink();
        return base + place;
    }

    void give(void* place, size_t size) {
        const std::lock_guard<std::mutex> guard(mutex);
        size = in_grains(size);
        used -= size;
        kept += size;
        insert(static_cast<size_t>(static_cast<char*>(place) - base), {size, true});
        shrink();
    }

    int64_t count(size_t Pool::*what) {
        const std::lock_guard<std::mutex> guard(mutex);
        return static_cast<int64_t>(this->*what);
    }

    std::mutex mutex;
    size_t used = 0, kept = 0, most = 0;

private:
    struct Run {
        size_t size;
        bool touched;  // whether its addresses hold pages
    };
    using Runs = std::map<size_t, Run>;  // by place; neighbours differ in `touched` or do not touch
    static constexpr size_t GRAIN = 1 << 16;
    static size_t in_grains(size_t bytes) { return std::max<size_t>(1, (bytes + GRAIN - 1) / GRAIN) * GRAIN; }

    // Addresses alone cost nothing: as many as the machine has memory, fewer where the user may not have so many.
    bool reserve() {
        if (refused) return false;
        size_t size = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / GRAIN * GRAIN;
        for (; size >= (1 << 28); size = size / 2 / GRAIN * GRAIN) {
            void* found = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (found == MAP_FAILED) continue;
            base = static_cast<char*>(found);
            idle[0] = {size, false};
            return true;
        }
        refused = true;
        return false;
    }

    // The lowest run from which on `wanted` bytes are idle, through runs that follow each other.
    Runs::iterator first_fit(size_t wanted) {
        auto first = idle.begin();
        size_t end = 0;
        for (auto run = first; run != idle.end(); run++) {
            if (run->first != end) first = run;
            end = run->first + run->second.size;
            if (end - first->first >= wanted) return first;
        }
        return idle.end();
    }

    void occupy(Runs::iterator run, size_t wanted) {
        while (wanted) {
            const auto [place, one] = *run;
            const size_t part = std::min(wanted, one.size);
            run = idle.erase(run);
            if (one.touched) kept -= part;
            if (part < one.size) idle[place + part] = {one.size - part, one.touched};
            wanted -= part;
        }
    }

    void insert(size_t place, Run run) {
        const auto at = idle.emplace(place, run).first;
        merge(at);
        if (at != idle.begin()) merge(std::prev(at));
    }

    // Makes a run and its right neighbour one, if they are alike and touch.
    void merge(Runs::iterator left) {
        const auto right = std::next(left);
        if (right == idle.end() || left->first + left->second.size != right->first) return;
        if (left->second.touched != right->second.touched) return;
        left->second.size += right->second.size;
        idle.erase(right);
    }

    // Gives the highest idle pages back to the system, as many as are held beyond the worst time: what is given back in vain
    // must be found and cleared again.
    void shrink() {
        while (used + kept > most) {
            auto run = std::find_if(idle.rbegin(), idle.rend(), [](const auto& one) { return one.second.touched; });
            if (run == idle.rend()) return;
            const size_t size = std::min(run->second.size, in_grains(used + kept - most));
            const size_t place = run->first + run->second.size - size;
            madvise(base + place, size, MADV_DONTNEED);
            kept -= size;
            if (run->second.size > size)
                run->second.size -= size;
            else
                idle.erase(run->first);
            insert(place, {size, false});
        }
    }

    Runs idle;
    char* base = nullptr;
    bool refused = false;
};

// Never destroyed: tensors may outlive this library's static objects.
Pool& pool() {
    static Pool* const instance = [] {
        static Pool* made = new Pool;
        pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); }, [] { made->mutex.unlock(); });
        return made;
    }();
    return *instance;
}

struct Rows {
    DLManagedTensor managed;
    int64_t shape[2];
    void* place;
    size_t bytes;
};

void give_back(DLManagedTensor* managed) {
    Rows* rows = static_cast<Rows*>(managed->manager_ctx);
    give_kept(rows->place, rows->bytes);
    delete rows;
}

}  // namespace

bool keeps_memory() {
    const char* told = std::getenv("SPARSE3D_KEEP_MEMORY");
    return !told || std::strcmp(told, "0") != 0;
}

void* take_kept(size_t bytes) { return keeps_memory() ? pool().take(bytes) : nullptr; }

void give_kept(void* place, size_t bytes) { pool().give(place, bytes); }

// A DLManagedTensor of float32 [rows, columns], not cleared; null when there is no memory.
extern "C" void* sparse3d_pool_rows(int64_t rows, int64_t columns) {
    const size_t bytes = static_cast<size_t>(rows) * static_cast<size_t>(columns) * sizeof(float);
    void* place = take_kept(bytes);
    if (!place) return nullptr;
    Rows* owner = new (std::nothrow) Rows;
    if (!owner) {
        give_kept(place, bytes);
        return nullptr;
    }
    owner->shape[0] = rows, owner->shape[1] = columns;
    owner->place = place, owner->bytes = bytes;
    owner->managed = {{place, {CPU, 0}, 2, {FLOAT, 32, 1}, owner->shape, nullptr, 0}, owner, give_back};
    return &owner->managed;
}

// Bytes of blocks that tensors and scratch hold, of idle ones, and the most that were held, which bounds the two together.
extern "C" int64_t sparse3d_pool_used() { return pool().count(&Pool::used); }
extern "C" int64_t sparse3d_pool_kept() { return pool().count(&Pool::kept); }
extern "C" int64_t sparse3d_pool_most() { return pool().count(&Pool::most); }
