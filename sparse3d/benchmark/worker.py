"""A process that measures one variant: requests come in as lines of JSON, answers go out as lines of JSON.

    python -m sparse3d.benchmark.worker ENGINE sparse3d|passive|default THREADS

OpenMP reads its wait policy when torch loads it, and memory settings belong to a process: hence one process a variant.
Between requests it blocks in a read, and costs the others nothing.
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO, Any


def main() -> None:
    """Answers requests until the input ends."""
    engine, waiting, threads = sys.argv[1:]
    # `import sparse3d` has set these; torch is not loaded yet. The bound is what MKL does when it is left alone.
    if waiting != "sparse3d" or engine == "mm":
        os.environ.pop("MKL_CBWR", None)
    if waiting == "default":
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            os.environ.pop(name, None)
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported before the environment was set")
    # Libraries that print must not break the protocol: what they print goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from sparse3d.benchmark.service import Service

    serve(Service(engine, int(threads)), sys.stdin, answers)


def serve(service: Any, requests: IO[str], answers: IO[str]) -> None:
    """One answer a request: ``{"answer": ...}``, or ``{"error": ...}``."""
    for line in requests:
        request = json.loads(line)
        try:
            reply = {"answer": getattr(service, request.pop("do"))(**request)}
        except (ImportError, ValueError, RuntimeError, MemoryError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
