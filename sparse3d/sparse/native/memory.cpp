// Memory of the large tensors that the kernels write.
//
// The system hands out untouched pages, which it must find and clear one by one when they are first written; for the outputs of a
// network's layers that takes as long as a fifth of the arithmetic. So blocks that a tensor gives back are kept for the next one
// of about that size: the layers of one step, and the next step. In use and kept together never exceed what was in use at the worst
// time, which is forgotten slowly.
//
// Blocks reach torch as DLPack tensors, whose deleter brings them back.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>

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
    void* data;
    size_t size;
};

class Pool {
public:
    Block take(size_t wanted) {
        const std::lock_guard<std::mutex> guard(mutex);
        constexpr size_t GRAIN = 1 << 16;
        wanted = (wanted + GRAIN - 1) / GRAIN * GRAIN;
        size_t best = idle.size();
        for (size_t i = 0; i < idle.size(); i++)
            if (idle[i].size >= wanted && idle[i].size <= wanted + wanted / 4 && (best == idle.size() || idle[i].size <= idle[best].size))
                best = i;
        Block block{nullptr, 0};
        if (best < idle.size()) {
            block = idle[best];
            idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(best));
            kept -= block.size;
        } else {
            shrink(wanted);
            void* data = fresh(wanted);
            if (data == MAP_FAILED) {
                most = 0;  // out of memory: nothing idle is worth keeping
                shrink(0);
                data = fresh(wanted);
            }
            if (data == MAP_FAILED) return block;
            block = {data, wanted};
        }
        used += block.size;
        most = std::max(used, most - most / 65536);
        shrink(0);
        return block;
    }

    void give(Block block) {
        const std::lock_guard<std::mutex> guard(mutex);
        used -= block.size;
        kept += block.size;
        idle.push_back(block);
        shrink(0);
    }

    int64_t count(size_t Pool::*what) {
        const std::lock_guard<std::mutex> guard(mutex);
        return static_cast<int64_t>(this->*what);
    }

    std::mutex mutex;
    size_t used = 0, kept = 0, most = 0;

private:
    static void* fresh(size_t size) { return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

    // Gives the longest idle blocks back to the system until `more` bytes fit.
    void shrink(size_t more) {
        size_t gone = 0;
        while (gone < idle.size() && used + kept + more > most) {
            munmap(idle[gone].data, idle[gone].size);
            kept -= idle[gone++].size;
        }
        idle.erase(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(gone));
    }

    std::vector<Block> idle;  // the longest idle first
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
    if (!block.data) return nullptr;
    Rows* owner = new (std::nothrow) Rows;
    if (!owner) {
        pool().give(block);
        return nullptr;
    }
    owner->shape[0] = rows, owner->shape[1] = columns;
    owner->block = block;
    owner->managed = {{block.data, {CPU, 0}, 2, {FLOAT, 32, 1}, owner->shape, nullptr, 0}, owner, give_back};
    return &owner->managed;
}

// Bytes of blocks that tensors hold, of idle ones, and the most that tensors held, which bounds the two together.
extern "C" int64_t sparse3d_pool_used() { return pool().count(&Pool::used); }
extern "C" int64_t sparse3d_pool_kept() { return pool().count(&Pool::kept); }
extern "C" int64_t sparse3d_pool_most() { return pool().count(&Pool::most); }
