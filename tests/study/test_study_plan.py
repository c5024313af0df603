"""A study's plan: what shares a job, what changes its key, which cells pair."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prepared_rooms import write_prepared
from study_parts import TEXT, make_study

from sparse3d.config_paths import packaged_gin_dir
from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS
from sparse3d.study.command import read_study
from sparse3d.study.expand import expand
from sparse3d.study.fingerprints import config_of, data_of
from sparse3d.study.jobs import Job, Plan, Recipe, shown_command

STUDIES = sorted(path.name for path in (packaged_gin_dir() / "study").glob("*.gin"))


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Plan]:
    def plan(*bindings: str, text: str = TEXT, most: int | None = None) -> Plan:
        return expand(make_study(tmp_path, *bindings, text=text)[0], most)

    return plan


def of_kind(plan: Plan, kind: str, row: str = "") -> dict[str, Job]:
    return {key: job for key, job in plan.jobs.items() if job.kind == kind and f" {row}" in job.title}


def test_every_cell_has_one_job_and_shared_ones_are_there_once(planned: Callable[..., Plan]) -> None:
    plan = planned()
    # 2 shares x 2 label sets x 2 seeds and 4 rows; probes: 1 share, and both_all probes what both has pre-trained.
    assert len(of_kind(plan, "finetune")) == 32 and len(of_kind(plan, "pretrain")) == 4
    assert len(of_kind(plan, "probe")) == 12 and len(of_kind(plan, "cost")) == 2
    assert len(plan.cells) == 32 + 4 * 4 * 4
    assert {cell.job for cell in plan.cells} <= set(plan.jobs)
    places = [(cell.row, cell.place, cell.pair) for cell in plan.cells]
    assert len(set(places)) == len(places)


def test_parents_come_before_their_children(planned: Callable[..., Plan]) -> None:
    plan = planned()
    order = list(plan.jobs)
    assert all(order.index(job.parent) < order.index(key) for key, job in plan.jobs.items() if job.parent)
    assert all(plan.jobs[job.parent].kind == "pretrain" for job in plan.jobs.values() if job.parent)


def test_cells_of_all_rows_with_one_label_set_and_seed_have_the_same_rooms_and_draws(
    planned: Callable[..., Plan],
) -> None:
    plan = planned()
    given: dict[tuple[object, ...], set[tuple[str, ...]]] = {}
    for cell in plan.cells:
        job = plan.jobs[cell.job]
        if job.kind == "finetune":
            draws = tuple(text for text in job.given if "init." not in text)
            given.setdefault((cell.place, cell.pair), set()).add(draws)
    assert {len(draws) for draws in given.values()} == {1}
    assert len(set.union(*given.values())) == len(given)


@pytest.mark.parametrize(
    ("binding", "changed"),
    [
        ("kt/StudyRow.bindings = [%DECODER, 'PretrainTask.mv_weight = 0.5']",
         {"pretrain kt", "segmentation kt", "probe kt"}),
        ("both_all/StudyRow.finetune = ['init.lr_scale = 0.5']", {"segmentation both_all"}),
        ("segmentation/StudyFinetune.steps = 5", {"segmentation"}),
        ("segmentation/StudyFinetune.bindings = ['train.lr = 0.5']", {"segmentation"}),
        ("probe/StudyProbe.bindings = ['FeatureProbe.k = 3']", {"probe"}),
        ("kt/StudyRow.network = ['SRUNet.stem_kernel_size = 3']", {"pretrain kt", "segmentation kt", "probe kt"}),
        ("StudyRow.common = ['train.steps = 7']", {"pretrain", "segmentation kt", "segmentation both", "probe kt",
                                                   "probe both"}),
    ],
)  # fmt: skip
def test_what_determines_a_job_changes_its_key_and_nothing_else_does(
    planned: Callable[..., Plan], binding: str, changed: set[str]
) -> None:
    before, after = planned(), planned(binding)
    changing = {j.title for j in before.jobs.values() if j.kind != "cost" and j.key not in after.jobs}
    expected = {j.title for j in before.jobs.values() if any(j.title.startswith(name) for name in changed)}
    assert changing == expected


@pytest.mark.parametrize(
    "binding",
    [
        "kt/StudyRow.title = 'another name'",
        "Study.seeds = 3",
        "segmentation/StudyFinetune.label_sets = 3",
        "segmentation/StudyFinetune.shares = [0.5, 0.75, 1.0]",
        "segmentation/StudyFinetune.bindings = ['train.workers = 0', 'train.log_every = 1']",
        "StudyRow.common = ['train.steps = 6', 'train.eval_every = 0', 'PretrainTask.teacher_cache = \"kept\"']",
        "ROWS = [@scratch/StudyRow(), @kt/StudyRow(), @both/StudyRow(), @both_all/StudyRow(), @more/StudyRow()]",
    ],
)
def test_a_table_that_grows_keeps_its_jobs(planned: Callable[..., Plan], binding: str) -> None:
    grown = TEXT + 'more/StudyRow.files = ["pretrain/rooms.gin"]\nmore/StudyRow.bindings = [%DECODER]\n'
    before = planned()
    after = planned(binding, text=grown if "@more" in binding else TEXT)
    assert set(before.jobs) <= set(after.jobs)


def test_figures_of_another_meaning_are_taken_anew_and_pre_trainings_are_not(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned()
    monkeypatch.setattr("sparse3d.study.expand.MEASURES", 0)
    after = planned()
    changing = {j.kind for j in before.jobs.values() if j.key not in after.jobs}
    assert changing == {"finetune", "probe"}
    assert not any(j.key in after.jobs for j in before.jobs.values() if j.kind in changing)


def test_another_place_of_the_same_data_changes_no_key_and_other_data_do(tmp_path: Path) -> None:
    here, there = write_prepared(tmp_path / "a"), write_prepared(tmp_path / "b" / "c")
    assert data_of(str(here)) == data_of(str(there))
    (there / "splits" / "train.txt").write_text("room0000_00\n")
    data_of.cache_clear()
    assert data_of(str(here)) != data_of(str(there))
    with pytest.raises(InputError, match="does not exist"):
        data_of(str(tmp_path / "nothing"))


def test_preparing_again_in_another_time_or_on_another_cpu_changes_no_key(tmp_path: Path) -> None:
    root, found = write_prepared(tmp_path / "a"), set()
    for seconds, length, vertices in ((10, 900, 5), (20, 904, 5), (20, 904, 6)):
        totals = {"seconds": seconds, "bytes": length, "vertices": vertices}
        (root / "manifest.json").write_text(json.dumps({"totals": totals}))
        data_of.cache_clear()
        found.add(data_of(str(root)))
    assert len(found) == 2


def test_alternating_seeds_pair_in_every_row(planned: Callable[..., Plan]) -> None:
    fewer = ("both/StudyRow.seeds = 1", "kt/StudyRow.label_sets = 1", "segmentation/StudyFinetune.label_sets = 4")
    plan = planned("Study.pairing = 'alternate'", *fewer)
    pairs = {
        row: [c.pair for c in plan.cells if c.row == row and c.place == ("segmentation", 0.5)]
        for row in ("scratch", "both", "kt")
    }
    assert pairs == {"scratch": [(0, 0), (1, 1), (2, 0), (3, 1)], "both": [(0, 0), (2, 0)], "kt": [(0, 0)]}
    assert plan.notes == []


def test_cells_without_a_partner_are_told(planned: Callable[..., Plan]) -> None:
    plan = planned("scratch/StudyRow.seeds = 1", "kt/StudyRow.baseline = 'both'")
    assert "16 of 32 cells" not in " ".join(plan.notes)
    assert [note.split(" of ")[0] for note in plan.notes] == ["12", "12"]
    assert all(note.endswith("no partner in scratch") for note in plan.notes)


def test_at_most_so_many_seeds(planned: Callable[..., Plan]) -> None:
    plan = planned(most=1)
    assert {cell.pair for cell in plan.cells} == {(0, 0)} and set(plan.jobs) < set(planned().jobs)


def test_the_jobs_of_some_rows_bring_their_pre_trainings(planned: Callable[..., Plan]) -> None:
    jobs = planned().for_rows(["both"])
    assert {job.kind for job in jobs} == {"pretrain", "finetune", "probe", "cost"}
    assert len(jobs) == 2 + 8 + 4 + 1


def test_matching_is_left_out_and_said_or_measured_once_a_pre_training(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    text = TEXT.replace("@probe/StudyProbe()]", "@probe/StudyProbe(), @kitchen/StudyMatching()]")
    assert planned(text=text).notes == ["kitchen was left out: kitchen/StudyMatching.folder names no frames"]
    (tmp_path / "frames").mkdir()
    plan = planned(f"kitchen/StudyMatching.folder = {str(tmp_path / 'frames')!r}", text=text)
    jobs = of_kind(plan, "matching")
    assert len(jobs) == 4 and plan.notes == []
    random = [cell for cell in plan.cells if cell.row == "scratch" and cell.task == "kitchen_rotated"]
    assert [(cell.seed, cell.figure) for cell in random] == [(0, "recall_rotated_random"), (1, "recall_rotated_random")]
    command = next(iter(jobs.values())).command(tmp_path)
    assert "--data" in command and command[-1] == "--json" and "pretrain-" in command[2]
    assert {job.kind for job in plan.for_rows(["scratch"])} == {"finetune", "probe"}  # what it borrows is others' work


def test_a_recording_of_one_file_may_be_matched_on(tmp_path: Path) -> None:
    recording = tmp_path / "kitchen.sens"
    recording.write_bytes(b"frames")
    key = data_of(str(recording))
    data_of.cache_clear()
    recording.write_bytes(b"other frames")
    assert data_of(str(recording)) != key


def test_recordings_of_one_layout_differ_by_their_files(tmp_path: Path) -> None:
    keys = set()
    for name, depth in (("a", b"12"), ("b", b"123"), ("c", b"12")):
        for part in ("color/0.jpg", "depth/0.png", "trajectory.log"):
            (tmp_path / name / part).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / part).write_bytes(depth if part.startswith("depth") else b"same")
        keys.add(data_of(str(tmp_path / name)))
    assert len(keys) == 2
    for name in ("a", "b"):
        (tmp_path / f"of_{name}").mkdir()
        (tmp_path / f"of_{name}" / "scene").symlink_to(tmp_path / name)
    assert data_of(str(tmp_path / "of_a")) != data_of(str(tmp_path / "of_b"))


def test_rooms_prepared_in_another_way_are_other_data(tmp_path: Path) -> None:
    root, found = write_prepared(tmp_path / "a"), set()
    for size in ([320, 240], [640, 480], [320, 240]):
        scenes = {"room0000_00": {"options": {"size": size}, "seconds": {"all": 1.0}}}
        (root / "manifest.json").write_text(json.dumps({"totals": {}, "scenes": scenes}))
        data_of.cache_clear()
        found.add(data_of(str(root)))
    assert len(found) == 2


def test_a_long_path_of_what_changes_no_figure_changes_no_key(tmp_path: Path) -> None:
    """gin breaks a line that is longer than 120 characters."""
    short, long = (
        config_of(Recipe(("pretrain/rooms.gin",), (f"PretrainTask.teacher_cache = {'/x' * n!r}",))) for n in (1, 90)
    )
    assert short == long and "teacher_cache" not in short


def test_commands_name_everything(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan = planned()
    job = next(job for job in of_kind(plan, "finetune").values() if job.parent)
    command = job.command(tmp_path / "out", resume=True)
    assert command[1].endswith("train.py") and command[2] == "segmentation/rooms.gin" and command[-1] == "--resume"
    assert (
        f"init.checkpoint = {str(tmp_path / 'out/jobs' / f'pretrain-{job.parent}' / 'run/checkpoints/last.pt')!r}"
        in command
    )
    assert any(text.startswith("train/PreparedSplit.share_seed = ") for text in command)


def test_commands_are_shown_as_one_types_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, str(tmp_path / "tools" / "train.py"), "--out", "/elsewhere/run", "--set", "a = 'b'"]
    assert shown_command(command) == """python tools/train.py --out /elsewhere/run --set 'a = '"'"'b'"'"''"""


def test_pre_trainings_share_the_teachers_features_unless_a_row_says_otherwise(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    def places(plan: Plan) -> set[str]:
        commands = [job.command(tmp_path) for job in of_kind(plan, "pretrain").values()]
        bound = [[word for word in words if word.startswith("PretrainTask.teacher_cache")] for words in commands]
        return {words[-1] for words in bound}  # of two bindings the later one holds

    assert places(planned()) == {f"PretrainTask.teacher_cache = {str(tmp_path / 'teacher')!r}"}
    without = planned("StudyRow.common = ['PretrainTask.teacher_cache = None']")
    assert places(without) == {"PretrainTask.teacher_cache = None"}


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Study.baselines = ['scrach']", "'scrach' is none of the study's"),
        ("Study.baselines = []", "Study.baselines is empty"),
        ("kt/StudyRow.bindings = ['train.lr = -1.0', %DECODER]", "train.lr = -1.0: must be a positive"),
        ("kt/StudyRow.tasks = ['segmentaton']", "'segmentaton' is no task"),
        ("kt/StudyRow.parts = 'decoder'", "choose one of encoder, all"),
        ("scratch/StudyRow.bindings = ['train.lr = 1.0']", "its files are none"),
        ("segmentation/StudyFinetune.shares = [0.0]", r"numbers in \(0, 1\]"),
        ("segmentation/StudyFinetune.label_sets = [1]", "one for each share"),
        ("segmentation/StudyFinetune.steps = [1]", "one a share"),
        ("Study.pairing = 'some'", "choose one of all, alternate"),
        ("probe/StudyProbe.features = ['head']", "choose of encoder, decoder"),
        ("both/StudyRow.bindings = []", "row both.* asks for the decoder"),
        ("both/StudyRow.bindings = ['NONE = 0.0', 'PretrainTask.kt_weight = %NONE', %DECODER]", "row both.* asks for"),
        ("both_all/StudyRow.bindings = [%DECODER, 'PretrainTask.kt_weight = 0.0']", "both_all/StudyRow.parts = 'all' "),
        ("kt/StudyRow.bindings = ['PretrainTask.kt_wieght = 0.0']", "kt_weight"),
    ],
)
def test_mistakes_are_one_line_before_any_job(planned: Callable[..., Plan], binding: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(binding)


def test_two_probes_for_one_place_of_the_table_are_refused(planned: Callable[..., Plan]) -> None:
    text = TEXT.replace("@probe/StudyProbe()]", "@probe/StudyProbe(), @fine/StudyProbe()]")
    with pytest.raises(InputError, match="two of them give linear_encoder of row scratch"):
        planned("fine/StudyProbe.bindings = ['FeatureProbe.l2 = 0.1']", "fine/StudyProbe.shares = [0.5]", text=text)


@pytest.mark.parametrize("name", STUDIES)
def test_the_shipped_studies_can_be_planned(name: str, tmp_path: Path) -> None:
    text = (packaged_gin_dir() / "study" / name).read_text()
    assert "# Hardware: " in text and "docs/results.md" in text
    root = write_prepared(tmp_path / "rooms")
    study, _ = read_study([f"study/{name}"], [f"DATA_ROOT = {str(root)!r}"])
    plan = expand(study)
    assert plan.jobs and all(note.endswith("names no frames") for note in plan.notes)
    assert set(re.findall(r"SRUNet\.spec = '(.*?)'", text)) <= set(SPECS)
    headline = {"scratch", "mvnet", "pointcontrast"}
    assert headline <= {row.name for row in study.rows} and set(study.baselines) <= headline | {"knowledge_transfer"}


@pytest.mark.parametrize("binding", ["train.steps = 10", "init.lr_scale = 0.1", "sparse.products = 'bfloat16'"])
def test_options_of_a_training_are_not_a_studys(binding: str, tmp_path: Path) -> None:
    """They would be accepted and reach no job; they belong into StudyRow.common, or a task's bindings."""
    with pytest.raises(InputError, match=f"nothing in this run uses {binding.split(' ')[0]}"):
        make_study(tmp_path, binding)
