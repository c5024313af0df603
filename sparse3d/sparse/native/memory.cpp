// Memory of the large tensors that the kernels write.
//
// The system hands out untouched pages, which it must find and clear one by one when they are first written; for the outputs of a
// network's layers that takes as long as a fifth of the arithmetic. So they are cut from one stretch of addresses, whose pages stay
// for the next tensor: of the layers of one step, and of the next step. A tensor lies as low as it fits, and neighbours that
// are free become one, so that a large tensor's place serves many small ones and the other way round. Pages in use and kept
// together never exceed what was in use at the worst time, which is forgotten slowly.
//
// Blocks reach torch as DLPack tensors, whose deleter brings them back.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <new>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

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

struct Block {
    size_t place, size;
};

class Pool {
public:
    // The block's place is `end_of_addresses` where there is no room for it.
    Block take(size_t wanted) {
        const std::lock_guard<std::mutex> guard(mutex);
        wanted = std::max(GRAIN, (wanted + GRAIN - 1) / GRAIN * GRAIN);
        if (!base && !reserve()) return {end_of_addresses, 0};
        auto range = std::find_if(idle.begin(), idle.end(), [&](const auto& one) { return one.second.size >= wanted; });
        if (range == idle.end()) return {end_of_addresses, 0};
        const size_t place = range->first;
        Range rest = range->second;
        idle.erase(range);
        const size_t again = std::min(rest.touched, wanted);  // pages that are there already
        rest.size -= wanted, rest.touched -= again;
        kept -= again;
        if (rest.size) idle[place + wanted] = rest;
        used += wanted;
        most = std::max(used, most - most / 65536);
        shrink();
        return {place, wanted};
    }

    void give(Block block) {
        const std::lock_guard<std::mutex> guard(mutex);
        used -= block.size;
        kept += block.size;
        auto range = idle.emplace(block.place, Range{block.size, block.size}).first;
        merge(range);
        if (range != idle.begin()) merge(std::prev(range));
        shrink();
    }

    void* address(Block block) const { return base + block.place; }

    int64_t count(size_t Pool::*what) {
        const std::lock_guard<std::mutex> guard(mutex);
        return static_cast<int64_t>(this->*what);
    }

    std::mutex mutex;
    size_t used = 0, kept = 0, most = 0;
    static constexpr size_t end_of_addresses = ~size_t(0);

private:
    struct Range {
        size_t size, touched;  // the latter of its bytes hold pages, the lower ones first
    };
    static constexpr size_t GRAIN = 1 << 16;

    // Addresses alone cost nothing: as many as the machine has memory, fewer where the user may not have so many.
    bool reserve() {
        if (refused) return false;
        size_t size = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / GRAIN * GRAIN;
        for (; size >= (1 << 28); size = size / 2 / GRAIN * GRAIN) {
            void* found = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (found == MAP_FAILED) continue;
            base = static_cast<char*>(found);
            idle[0] = {size, 0};
            return true;
        }
        refused = true;
        return false;
    }

    // Makes a range and its right neighbour one, if they touch.
    void merge(std::map<size_t, Range>::iterator left) {
        const auto right = std::next(left);
        if (right == idle.end() || left->first + left->second.size != right->first) return;
        left->second.size += right->second.size;
        left->second.touched += right->second.touched;
        idle.erase(right);
    }

    // Gives the pages of the highest idle ranges back to the system until no more are held than at the worst time.
    void shrink() {
        for (auto range = idle.rbegin(); range != idle.rend() && used + kept > most; range++) {
            if (!range->second.touched) continue;
            madvise(base + range->first, range->second.size, MADV_DONTNEED);
            kept -= range->second.touched;
            range->second.touched = 0;
        }
    }

    std::map<size_t, Range> idle;  // by place
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
    Block block;
};

void give_back(DLManagedTensor* managed) {
    Rows* rows = static_cast<Rows*>(managed->manager_ctx);
    pool().give(rows->block);
    delete rows;
}

}  // namespace

// A DLManagedTensor of float32 [rows, columns], not cleared; null when there is no memory.
extern "C" void* sparse3d_pool_rows(int64_t rows, int64_t columns) {
    const Block block = pool().take(static_cast<size_t>(rows) * static_cast<size_t>(columns) * sizeof(float));
    if (block.place == Pool::end_of_addresses) return nullptr;
    Rows* owner = new (std::nothrow) Rows;
    if (!owner) {
        pool().give(block);
        return nullptr;
    }
    owner->shape[0] = rows, owner->shape[1] = columns;
    owner->block = block;
    owner->managed = {{pool().address(block), {CPU, 0}, 2, {FLOAT, 32, 1}, owner->shape, nullptr, 0}, owner, give_back};
    return &owner->managed;
}

// Bytes of blocks that tensors hold, of idle ones, and the most that tensors held, which bounds the two together.
extern "C" int64_t sparse3d_pool_used() { return pool().count(&Pool::used); }
extern "C" int64_t sparse3d_pool_kept() { return pool().count(&Pool::kept); }
extern "C" int64_t sparse3d_pool_most() { return pool().count(&Pool::most); }
