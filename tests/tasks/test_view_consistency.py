"""The consistency loss of a batch against loops over its items, views and correspondences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.models.correspondence import Embeddings
from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.models.projection import ProjectedViews
from sparse3d.tasks.consistency.form import ConsistencyForm, PairCells, ViewConsistency
from sparse3d.tasks.consistency.info_nce import InfoNceConsistency
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.consistency.regression import RegressionConsistency
from sparse3d.types import Matches, ViewBatch

ITEMS, VIEWS, ROWS, COLS, STRIDE, DIM, SCALE = 2, 3, 3, 5, 4, 6, 7.0
HEIGHT, WIDTH = ROWS * STRIDE, COLS * STRIDE
QUERIES, NEAR, WEIGHT = 25, 0.35, 0.7
MATCH_FIELDS = ("item", "source_view", "source_pixel", "target_view", "target_pixel")
Maps = tuple[PretrainOutput, ViewBatch]


@dataclass
class Answer(Embeddings):
    """What heads of all forms would say: the one as embeddings, the other by pairs of views."""

    places: dict[tuple[int, int], Tensor]

    def __getitem__(self, pair: tuple[int, int]) -> Tensor:
        return self.places[pair]


@pytest.fixture(scope="module")
def batch() -> Maps:
    """Maps of which a fifth of the cells is not there, and 40 correspondences a pair of views, true or not."""
    random = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    grid = (ITEMS, VIEWS, ROWS, COLS)
    mask = drawn(*grid) < 0.8
    compared = ProjectedViews(drawn(ITEMS, VIEWS, 4, ROWS, COLS), mask, drawn(ITEMS, VIEWS, 3, ROWS, COLS))
    taught = ProjectedViews(compared.maps, ~mask, compared.xyz.flip(-1))  # the shared cloud's, which is not asked here
    embeddings = F.normalize(drawn(*grid, DIM) - 0.5, dim=-1)
    pairs = [(i, j) for i in range(VIEWS) for j in range(VIEWS) if i != j]
    places = {pair: drawn(ITEMS, 2, ROWS, COLS) for pair in pairs}
    output = PretrainOutput(taught, compared, None, Answer(embeddings, torch.tensor(SCALE), places))
    rows = torch.tensor([(b, i, j) for b in range(ITEMS) for i, j in pairs]).repeat_interleave(40, dim=0)
    rows = rows[torch.randperm(len(rows), generator=random)]
    source, target = ((drawn(len(rows), 2) * torch.tensor([HEIGHT, WIDTH])).long() for _ in range(2))
    matches = Matches(rows[:, 0], rows[:, 1], source, rows[:, 2], target)
    images = torch.zeros(ITEMS, VIEWS, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    return output, ViewBatch(images, matches, None, None, None, None)


def pairs_by_loops(
    output: PretrainOutput, batch: ViewBatch, queries: int = QUERIES
) -> list[tuple[int, int, int, list[dict[str, Any]]]]:
    """Every item and ordered pair of views, with the correspondences whose cells are there."""
    m, mask, found = batch.matches, output.compared.mask, []
    for item in range(ITEMS):
        for i in range(VIEWS):
            for j in range(VIEWS):
                known: list[dict[str, Any]] = []
                taken = 0
                for k in range(len(m.item)):
                    if i == j or (int(m.item[k]), int(m.source_view[k]), int(m.target_view[k])) != (item, i, j):
                        continue
                    taken += 1
                    (a, b), (c, d) = m.source_pixel[k].tolist(), m.target_pixel[k].tolist()
                    cells = (a // STRIDE, b // STRIDE), (c // STRIDE, d // STRIDE)
                    if taken <= queries and mask[item, i][cells[0]] and mask[item, j][cells[1]]:
                        place = torch.tensor([(c + 0.5) / HEIGHT, (d + 0.5) / WIDTH])
                        known.append({"source": cells[0], "target": cells[1], "place": place})
                if i != j:
                    found.append((item, i, j, known))
    return found


def matching_by_loops(
    output: PretrainOutput, batch: ViewBatch, queries: int = QUERIES, keys: Tensor | None = None
) -> tuple[Tensor, float]:
    """``keys`` (items, views, rows, columns): the cells that queries choose from; None: all that are there."""
    keys = output.compared.mask if keys is None else keys
    losses, shares = [], []
    for item, i, j, known in pairs_by_loops(output, batch, queries):
        cells = [tuple(cell) for cell in torch.nonzero(keys[item, j]).tolist()]
        places = torch.tensor([((r + 0.5) * STRIDE / HEIGHT, (c + 0.5) * STRIDE / WIDTH) for r, c in cells])
        loss, right = torch.zeros(()), 0.0
        for match in known:
            query = output.answer.rows[item, i][match["source"]]
            logits = torch.stack([SCALE * (query * output.answer.rows[item, j][cell]).sum() for cell in cells])
            xyz = torch.stack([output.compared.xyz[item, j, :, r, c] for r, c in cells])
            true = cells.index(match["target"])
            near = (xyz - xyz[true]).norm(dim=1) < NEAR
            is_answer = ~near
            is_answer[true] = True
            entropy = torch.logsumexp(logits[is_answer], 0) - logits[true]
            expected = (logits.softmax(0)[:, None] * places).sum(0)
            loss = loss + entropy + WEIGHT * F.smooth_l1_loss(expected, match["place"], beta=0.1)
            right += float(near[logits.argmax()])
        losses.append(loss / max(1, len(known)))
        shares += [right / len(known)] if known else []
    return torch.stack(losses).mean(), math.fsum(shares) / len(shares)


def info_nce_by_loops(output: PretrainOutput, batch: ViewBatch) -> Tensor:
    losses = []
    for item, i, j, known in pairs_by_loops(output, batch):
        loss = torch.zeros(())
        xyz = [output.compared.xyz[item, j][:, match["target"][0], match["target"][1]] for match in known]
        for a, match in enumerate(known):
            query = output.answer.rows[item, i][match["source"]]
            logits = {
                b: SCALE * (query * output.answer.rows[item, j][other["target"]]).sum()
                for b, other in enumerate(known)
                if b == a or float((xyz[b] - xyz[a]).norm()) >= NEAR
            }
            loss = loss + torch.logsumexp(torch.stack(list(logits.values())), 0) - logits[a]
        losses.append(loss / max(1, len(known)))
    return torch.stack(losses).mean()


def regression_by_loops(output: PretrainOutput, batch: ViewBatch) -> float:
    losses = []
    for item, i, j, known in pairs_by_loops(output, batch):
        errors = [
            float(F.smooth_l1_loss(output.answer[i, j][item][:, match["source"][0], match["source"][1]], match["place"],
                                   beta=0.05))
            for match in known
        ]  # fmt: skip
        losses.append(math.fsum(errors) / max(1, len(errors)))
    return math.fsum(losses) / len(losses)


FORMS: dict[str, Callable[..., ConsistencyForm]] = {
    "matching": partial(MatchingConsistency, max_keys=None, near=NEAR, coordinate_weight=WEIGHT),
    "info_nce": partial(InfoNceConsistency, near=NEAR),
    "regression": RegressionConsistency,
}


def consistency(form: str, max_queries: int = QUERIES, **options: Any) -> ViewConsistency:
    return ViewConsistency(FORMS[form](**options), STRIDE, max_queries)


def test_the_batch_leaves_out_what_the_loops_must_see(batch: Maps) -> None:
    """Queries beyond the bound, cells that are not there, near cells: all of them occur."""
    pairs = pairs_by_loops(*batch)
    counts = [len(known) for *_, known in pairs]
    assert len(pairs) == ITEMS * VIEWS * (VIEWS - 1) and 0 < min(counts) < max(counts) < QUERIES


def test_matching_is_that_of_loops(batch: Maps) -> None:
    loss, parts = consistency("matching")(*batch)
    expected, share = matching_by_loops(*batch)
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    assert float(parts["match_share"]) == pytest.approx(share, abs=1e-6) and 0 < share < 1


@pytest.mark.parametrize("form", ["matching", "info_nce", "regression"])
def test_a_frame_that_is_repeated_makes_no_pair_with_itself(form: str, batch: Maps) -> None:
    """Where frames are too few a view stands twice: its pairs have no matches, and would halve the loss."""
    output, given = batch
    m = given.matches
    apart = (m.source_view != 0) | (m.target_view != 2)
    apart &= (m.source_view != 2) | (m.target_view != 0)
    matches = Matches(*(getattr(m, field)[apart] for field in MATCH_FIELDS))
    named = replace(given, matches=matches, names=[("a", "b", "a")] * ITEMS)
    unnamed = replace(named, names=[])
    (loss, parts), (diluted, _) = consistency(form)(output, named), consistency(form)(output, unnamed)
    assert float(loss) == pytest.approx(float(diluted) * 6 / 4, rel=1e-5) and float(loss) > 0
    if form == "matching":
        _, share = matching_by_loops(output, unnamed)
        assert float(parts["match_share"]) == pytest.approx(share, abs=1e-6)


def drawn_keys(form: ViewConsistency, maps: Maps, seed: int) -> Tensor:
    torch.manual_seed(seed)
    output, batch = maps
    assert isinstance(form.form, MatchingConsistency)
    drawn = form.form._keys(output.compared.mask.flatten(0, 1), form.pairs(output, batch))
    return drawn.view(ITEMS, VIEWS, ROWS, COLS)


def test_a_part_of_the_cells_is_drawn_anew_and_has_every_true_one(batch: Maps) -> None:
    output, given = batch
    form = consistency("matching", max_queries=2, max_keys=3)
    true = torch.zeros_like(output.compared.mask)
    for item, _, j, known in pairs_by_loops(output, given, queries=2):
        for match in known:
            true[item, j][match["target"]] = True
    drawn = torch.stack([drawn_keys(form, batch, seed) for seed in range(200)])
    assert torch.equal(drawn[0], drawn_keys(form, batch, 0))
    assert not (drawn & ~output.compared.mask).any() and (drawn | ~true).all()
    others = drawn & ~true
    assert (drawn.sum(dim=(3, 4)) >= 3).all() and (others.sum(dim=(3, 4)) <= 3).all()
    # Every other cell is drawn as often as any: three of a view's cells that are there.
    often = others.float().mean(dim=0)
    expected = 3 / output.compared.mask.sum(dim=(2, 3), keepdim=True)
    assert (often - expected).abs()[output.compared.mask & ~true].max() < 0.15
    assert torch.equal(drawn_keys(consistency("matching", max_keys=99), batch, 0), output.compared.mask)


def test_matching_among_some_cells_is_that_of_loops(batch: Maps) -> None:
    form = consistency("matching", max_queries=2, max_keys=3)
    keys = drawn_keys(form, batch, 5)
    torch.manual_seed(5)
    loss, parts = form(*batch)
    expected, share = matching_by_loops(*batch, queries=2, keys=keys)
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    assert float(parts["match_share"]) == pytest.approx(share, abs=1e-6)
    assert int(keys.sum()) < int(batch[0].compared.mask.sum())


def test_info_nce_is_that_of_loops(batch: Maps) -> None:
    loss, _ = consistency("info_nce")(*batch)
    assert float(loss) == pytest.approx(float(info_nce_by_loops(*batch)), abs=1e-5)


def test_regression_is_that_of_loops(batch: Maps) -> None:
    loss, _ = consistency("regression")(*batch)
    assert float(loss) == pytest.approx(regression_by_loops(*batch), abs=1e-6)


@pytest.mark.parametrize("form", ["matching", "info_nce"])
def test_both_views_learn_from_a_pair(form: str, batch: Maps) -> None:
    """The gradient goes through queries and keys alike, as it does through the loops."""
    gradients = []
    for by_loops in (False, True):
        leaf = batch[0].answer.rows.clone().requires_grad_()
        given = replace(batch[0], answer=replace(batch[0].answer, rows=leaf))
        if by_loops:
            loss = matching_by_loops(given, batch[1])[0] if form == "matching" else info_nce_by_loops(given, batch[1])
        else:
            loss = consistency(form)(given, batch[1])[0]
        loss.backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("form", ["matching", "info_nce"])
def test_each_option_is_felt(form: str, batch: Maps) -> None:
    whole = float(consistency(form)(*batch)[0])
    changed = [{"near": 0.0}, {"max_queries": 5}, *([{"coordinate_weight": 0.0}] if form == "matching" else [])]
    assert all(abs(float(consistency(form, **options)(*batch)[0]) - whole) > 1e-3 for options in changed)


@pytest.mark.parametrize("form", list(FORMS))
def test_a_query_is_compared_with_as_many_cells_as_are_said(form: str) -> None:
    """What the operations of a step are counted by."""
    made = FORMS[form]()
    assert made.compared_cells(5, 100) == {"matching": 100, "info_nce": 5, "regression": 0}[form]
    assert MatchingConsistency(max_keys=30).compared_cells(5, 100) == 35
    assert MatchingConsistency(max_keys=99).compared_cells(5, 100) == 100


class Nothing(nn.Module):
    """A head that has nothing to say."""

    def forward(self, views: ProjectedViews) -> None:
        return None


class Touching(ConsistencyForm):
    """A form of a user's own: so many correspondences as a pair has."""

    def build_head(self, in_channels: int) -> nn.Module:
        return Nothing()

    def losses(
        self, output: PretrainOutput, pairs: Sequence[PairCells], place_of_cell: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        assert place_of_cell.shape == (ROWS, COLS, 2) and output.answer is None
        for pair in pairs:  # a cell holds its correspondences' places
            inside = (place_of_cell.flatten(0, 1)[pair.target] - pair.place).abs()
            assert (inside <= torch.tensor([0.5 / ROWS, 0.5 / COLS]) + 1e-6).all()
        return [torch.tensor(float(len(pair.source))) for pair in pairs], {}


def test_a_form_of_ones_own_is_one_class(batch: Maps) -> None:
    output = replace(batch[0], answer=Nothing()(batch[0].compared))
    loss, parts = ViewConsistency(Touching(), STRIDE, QUERIES)(output, batch[1])
    counts = [len(known) for *_, known in pairs_by_loops(*batch)]
    assert float(loss) == pytest.approx(sum(counts) / len(counts)) and parts == {}
