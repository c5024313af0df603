"""The code that the pages under docs/ show runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, text in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
]


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "docs", "exec"), names)
    return names


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_of_a_page_runs(block: str) -> None:
    torch.manual_seed(0)
    run(block)


def test_the_layers_that_the_engine_page_writes_do_what_it_says() -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        names |= run(str(block.values[0]))
    coords = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, 4, 4, 4]], dtype=torch.int32)
    x = names["SparseTensor"].from_coords(coords, torch.randn(3, 8))
    assert names["neighbour_count"](x).feats.tolist() == [[2.0], [2.0], [1.0]]
    assert names["SqueezeExcite"](8)(x).feats.shape == (3, 8)
    coarse = names["Convolution"](8, 8, kernel_size=2, stride=2)(x)
    grown = names["GrowAndPrune"](8)(coarse)
    assert grown.tensor_stride == (1, 1, 1) and len(grown) <= 8 * len(coarse)
    assert names["per_point"].shape == (5000, 19)
