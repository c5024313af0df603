"""Parameters and operations of a pre-training's parts, counted on one real batch.

A job of a study: ``python -m sparse3d.study.costs CONFIG --set BINDING --out FILE``. Sparse convolutions are counted
by the pairs of voxels that their kernel maps join, everything dense by torch's own counter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sparse3d import config, run
from sparse3d.cli import run_tool
from sparse3d.errors import InputError
from sparse3d.models.correspondence import Embeddings
from sparse3d.models.pretrain_net import PretrainNet, PretrainOutput
from sparse3d.sparse import SparseTensor, configure
from sparse3d.sparse.convolution import ConvolutionBase
from sparse3d.sparse.manager import Connection
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.training.random_state import seed_everything
from sparse3d.training.settings import TrainSettings
from sparse3d.types import ViewBatch
from sparse3d.whole_files import write_durable_text


def convolution_flops(module: ConvolutionBase, x: SparseTensor, out: SparseTensor) -> int:
    """Operations of one sparse convolution, forward; a multiplication and an addition are two."""
    c_in, c_out = module.kernel.shape[-2:]
    if module.kernel.ndim == 2:
        return 2 * len(x) * c_in * c_out
    table = x.manager.kernel_map(*Connection(x.key, out.key, module.region, module.transposed)).table
    return 2 * int((table >= 0).sum()) * c_in * c_out


@contextmanager
def counted_convolutions(network: nn.Module) -> Iterator[list[int]]:
    """Within it, the operations of every sparse convolution of ``network`` are added to the list."""
    found: list[int] = []

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        assert isinstance(module, ConvolutionBase)
        found.append(convolution_flops(module, inputs[0], output))

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, ConvolutionBase)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def kept_inputs(modules: Iterable[nn.Module]) -> Iterator[list[tuple[nn.Module, tuple[Any, ...]]]]:
    """Within it, every call of ``modules`` adds the module and what it was given to the list."""
    found: list[tuple[nn.Module, tuple[Any, ...]]] = []
    hooks = [m.register_forward_pre_hook(lambda module, given: found.append((module, given))) for m in modules]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def dense_flops(work: Callable[[], Any]) -> int:
    """Operations of the dense products and convolutions that ``work`` calls."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@torch.no_grad()
def part_costs(task: PretrainTask, net: PretrainNet, batch: ViewBatch) -> dict[str, dict[str, int]]:
    """``parameters`` and forward ``flops`` of each part that the pre-training has, on ``batch``.

    ``losses`` have no parameters: the products that compare all cells of two views.
    """
    readouts = nn.ModuleList(dict.fromkeys((net.kt_readout, net.mv_readout)))
    with counted_convolutions(net.backbone) as sparse, kept_inputs(readouts) as read:
        output = net(batch)
    parts = {"backbone": {"parameters": _size(net.backbone), "flops": sum(sparse)}}
    if _size(readouts):
        flops = dense_flops(lambda: [readout(*inputs) for readout, inputs in read])
        parts["readouts"] = {"parameters": _size(readouts), "flops": flops}
    if net.student is not None:
        flops = dense_flops(lambda: net.predict_teacher(output.taught))
        parts["student"] = {"parameters": _size(net.student), "flops": flops}
        images = batch.images.flatten(0, 1)
        flops = dense_flops(lambda: task.teacher.extract(images))
        parts["teacher"] = {"parameters": _size(task.teacher), "flops": flops}
    head = net.head
    if head is not None:
        flops = dense_flops(lambda: head(output.compared))
        parts["correspondence"] = {"parameters": _size(head), "flops": flops}
        parts["losses"] = {"parameters": 0, "flops": comparison_flops(task, output, batch)}
    return parts


def comparison_flops(task: PretrainTask, output: PretrainOutput, batch: ViewBatch) -> int:
    """Operations of the products that compare cells of two views, which a compiled kernel may do unseen by torch.

    Cells that a mask took away count as if they were there, and so do drawn cells that are true ones as well.
    """
    if not isinstance(output.answer, Embeddings):
        return 0
    matches, (items, views, _, _, width) = batch.matches, output.answer.rows.shape
    total = 0
    for item in range(items):
        for i in range(views):
            for j in range(views):
                of_pair = (matches.item == item) & (matches.source_view == i) & (matches.target_view == j)
                queries = min(int(of_pair.sum()), task.consistency.max_queries)
                cells = int(output.compared.mask[item, j].sum())
                total += 2 * queries * task.consistency.form.compared_cells(queries, cells) * width
    return total


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count_costs(files: list[str], bindings: list[str]) -> dict[str, Any]:
    """``parts`` of :func:`part_costs`, and the batch: ``items``, ``views``, ``voxels``.

    Raises:
        InputError: a config that is wrong, or not a pre-training's.
    """
    config.load_config(files, bindings)
    with config.configured_calls():
        configure()
        settings = TrainSettings()
        seed_everything(settings.seed)
        task = run.build_task()
        if not isinstance(task, PretrainTask):
            raise InputError(f"{files[0]} trains {task.name!r}: costs are counted of a pre-training")
        net, data = task.build_model(), task.train_dataset()
    assert isinstance(net, PretrainNet)
    each = len(data) // settings.batch_size or 1  # spread over the scenes
    batch = task.collate([data[(k * each % len(data), k)] for k in range(settings.batch_size)])
    items, views = batch.images.shape[:2]
    voxels = sum(len(cloud.coords) for cloud in (batch.views, batch.shared) if cloud is not None)
    return {"parts": part_costs(task, net, batch), "items": items, "views": views, "voxels": voxels}


def main() -> None:
    """The job's entry."""
    run_tool(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Counts what the parts of a pre-training cost.")
    parser.add_argument("config", nargs="+")
    parser.add_argument("--set", dest="bindings", action="append", default=[])
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    found = count_costs(options.config, options.bindings)
    write_durable_text(options.out, json.dumps(found, indent=1) + "\n")
    write_durable_text(options.out.parent / "config.gin", config.config_text())


if __name__ == "__main__":
    main()
