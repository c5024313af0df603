"""Strict gin: whatever is mistyped or without effect is one line that names place, binding and nearest name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gin
import pytest

from sparse3d import config
from sparse3d.config import check_all_used, config_text, load_config, load_config_text
from sparse3d.errors import InputError
from sparse3d.run import build_task, check_config


@gin.configurable(module="zoo")
class Lion:
    def __init__(self, teeth: int = 30, name: str = "leo", prey: Any = None, food: Any = ()) -> None:
        self.teeth, self.name, self.prey, self.food = teeth, name, prey, food

    def idle_options(self) -> dict[str, str]:
        return {} if self.teeth else {"prey": "Lion.teeth is 0"}

    def idle_options_of_parts(self) -> dict[str, dict[str, str]]:
        return {}


@gin.configurable(module="zoo")
class Zebra:
    def __init__(self, stripes: int = 80, herd: str = gin.REQUIRED) -> None:
        self.stripes, self.herd = stripes, herd


@gin.configurable(module="zoo")
def count_animals(most: int = 3) -> int:
    return most


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    gin.clear_config()
    config._bindings.clear()


def write(folder: Path, text: str, name: str = "leaf.gin") -> Path:
    (folder / name).write_text(text)
    return folder / name


def message(text: str, tmp_path: Path, *bindings: str, set_up: bool = True) -> str:
    """The one line that this config is refused with."""
    with pytest.raises(InputError) as caught:
        load_config([write(tmp_path, text)], bindings)
        if set_up:
            build_task()
        check_all_used()
    assert "\n" not in str(caught.value)
    return str(caught.value)


LION = "run.task = @Lion()\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LION + "Lian.teeth = 3\n", ["leaf.gin, line 2: ", "Lian is not a configurable; the nearest is Lion"]),
        (LION + "Lion.teth = 3\n", ["leaf.gin, line 2: ", "Lion has no parameter 'teth'; the nearest is Lion.teeth"]),
        ("run.task = @Lyon()\n", ["leaf.gin, line 1: ", "@Lyon is not a configurable; the nearest is @Lion"]),
        (LION + "A = 1\nLion.teeth = %AA\n", ["leaf.gin, line 3: ", "macro %AA is not defined; the nearest is %A"]),
        (LION + "teeth = 4\n", ["leaf.gin, line 2: ", "nothing refers to the macro teeth; did you mean Lion.teeth?"]),
        (LION + "Lion.teeth = %TEETH\nTEETH = 3\nTETH = 4\n", ["line 4: ", "TETH; the nearest is %TEETH"]),
        (
            LION + "Lion.prey = @calm/Zebra\ncalm/Zebra.herd = 'a'\nclam/Zebra.herd = 'b'\n",
            ["line 4: ", "nothing is called in the scope 'clam'; the nearest is calm"],
        ),
        (LION + "Lion.teeth = 'three'\n", ["leaf.gin, line 2: Lion.teeth = 'three': must be of type int"]),
        (LION + "N = 2.5\nLion.teeth = %N\n", ["leaf.gin, line 2: Lion.teeth = 2.5: must be of type int"]),
        (LION + "Lion.teeth = True\n", ["must be of type int"]),
        (LION + "Lion.name = None\n", ["must be of type str"]),
        (LION + "Zebra.stripes = 3\n", ["line 2: ", "nothing in this run uses Zebra.stripes", "@Zebra"]),
        (LION + "Lion.teeth = (3\n", ["leaf.gin, line ", "not closed"]),
        (LION + "Lion.teeth 3\n", ["leaf.gin, line 2: ", "expected ':' or '='"]),
        (LION + "Lion.teeth = thirty\n", ["leaf.gin, line 2: ", "thirty"]),
        (LION + "Lion:\n  teth = 3\n", ["line 3: ", "the nearest is Lion.teeth"]),
        (LION + "Lyon:\n  teeth = 3\n", ["line 2: ", "the nearest is Lion"]),
        (LION + "import no_such_module\n", ["line 2: ", "no_such_module"]),
        (LION + "include 'nowhere.gin'\n", ["line 2: ", "included file nowhere.gin does not exist"]),
        (LION + "include 'leaf.gin'\n", ["includes itself"]),
        ("include 'base/training.gin'\nROOT = %gin.REQUIRED\n", ["line 2: ", "--set 'ROOT=...'"]),
        ("run.task = @Zebra()\n", ["Required bindings for `Zebra`", "herd", "--set"]),
        ("train.steps = 3\n", ["Required bindings for `run`", "task"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(text: str, expected: list[str], tmp_path: Path) -> None:
    line = message(text, tmp_path)
    assert [part for part in expected if part not in line] == [], line


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("Lion.teth=3", "--set 'Lion.teth=3': Lion has no parameter 'teth'; the nearest is Lion.teeth"),
        ("Zebra.stripes=3", "--set 'Zebra.stripes=3': nothing in this run uses Zebra.stripes"),
        ("NAME=4", "--set 'NAME=4': nothing refers to the macro NAME"),
        ("Lion.name=leo", "--set 'Lion.name=leo': "),
        ("Lion.teeth", "--set 'Lion.teeth': "),
        ("run.task=%gin.REQUIRED", "run.task must be given"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(binding: str, expected: str, tmp_path: Path) -> None:
    assert expected in message(LION, tmp_path, binding)


def test_a_set_binding_behind_an_overridden_reference_is_refused(tmp_path: Path) -> None:
    text = LION + "Lion.prey = @Zebra\nZebra.stripes = 3\n"
    load_config([write(tmp_path, text)], ["Lion.prey=None"])
    build_task()
    check_all_used()  # the file was right as it was written
    assert "nothing in this run uses Zebra.herd" in message(text, tmp_path, "Lion.prey=None", "Zebra.herd='x'")


def test_what_the_task_calls_idle_cannot_be_set_nor_what_only_it_refers_to(tmp_path: Path) -> None:
    path = write(tmp_path, LION + "Lion.teeth = 0\nLion.prey = @Zebra\nZebra.stripes = 3\n")
    load_config([path])
    check_config(build_task())  # a file may keep it for other runs
    for binding, expected in (
        ("Lion.prey=None", "--set 'Lion.prey=None': Lion.prey has no effect: Lion.teeth is 0"),
        ("Zebra.herd='x'", "nothing in this run uses Zebra.herd"),
    ):
        load_config([path], [binding])
        with pytest.raises(InputError, match=re.escape(expected)):
            check_config(build_task())
        load_config([path], [binding, "Lion.teeth=3"])
        check_config(build_task())


IDLE = [
    ("train.momentum=0.5", "train.optimizer is 'adamw'", "train.optimizer='sgd'"),
    ("train.betas=(0.5, 0.9)", "train.optimizer is 'sgd'", "train.optimizer='adamw'"),
    ("train.final_lr_fraction=0.1", "train.schedule is 'constant'", "train.schedule='cosine'"),
    ("train.best_is='lowest'", "train.best_metric is None", "train.best_metric='error'"),
    ("init.parts='all'", "init.checkpoint is None", "init.checkpoint='x.pt'"),
    ("init.min_fraction=0.5", "init.checkpoint is None", "init.checkpoint='x.pt'"),
    ("init.lr_scale=1.0", "init.checkpoint is None", "init.checkpoint='x.pt'"),
]


@pytest.mark.parametrize(("binding", "reason", "remedy"), IDLE)
def test_what_the_settings_call_idle_cannot_be_set(binding: str, reason: str, remedy: str, tmp_path: Path) -> None:
    plain = "train.schedule = 'constant'\ntrain.eval_every = 1\n" + "train.optimizer = 'sgd'\n" * ("betas" in binding)
    load_config([write(tmp_path, LION + plain)], [binding])
    with pytest.raises(InputError, match=re.escape(f"{binding.split('=')[0]} has no effect: {reason}")):
        check_config(build_task())
    load_config([write(tmp_path, LION + plain)], [binding, remedy])
    check_config(build_task())
    load_config([write(tmp_path, LION + plain + binding + "\n")])
    check_config(build_task())  # a file may keep it for other runs


def test_a_frozen_random_network_needs_no_checkpoint(tmp_path: Path) -> None:
    load_config([write(tmp_path, LION)], ["init.freeze='encoder'", "init.lr_decay=0.5"])
    check_config(build_task())


def test_a_binding_that_the_program_overrides_in_every_call_is_refused(tmp_path: Path) -> None:
    load_config([write(tmp_path, LION + "count_animals.most = 4\nLion.food = @count_animals\n")])
    build_task().food(most=5)
    with pytest.raises(InputError, match="count_animals.most has no effect"):
        check_all_used()


def test_a_binding_hidden_by_narrower_ones_read_before_is_refused(tmp_path: Path) -> None:
    text = LION + "Lion.prey = @calm/Zebra()\ncalm/Zebra.herd = 'a'\n"
    assert "Zebra.herd has no effect, as narrower bindings hide it; bind calm/Zebra.herd" in message(
        text, tmp_path, "Zebra.herd='b'"
    )
    used(text.replace("calm/Zebra.herd", "Zebra.herd"), tmp_path, ["calm/Zebra.herd='b'"])


def test_a_set_binding_for_all_scopes_of_which_one_stays_as_it_was_is_refused(tmp_path: Path) -> None:
    """Else PreparedSplit.share = .1 would thin out the validation rooms, and train on all."""
    text = LION + "Lion.prey = @calm/Zebra()\nLion.food = @wild/Zebra()\ncalm/Zebra.herd = 'a'\n"
    assert "Zebra.herd reaches only a part of the run, as calm/Zebra.herd hides it: bind that one, too" in message(
        text, tmp_path, "Zebra.herd='b'"
    )
    lion = used(text, tmp_path, ["Zebra.herd='b'", "calm/Zebra.herd='c'"])
    assert (lion.prey.herd, lion.food.herd) == ("c", "b")
    assert used(text + "Zebra.herd = 'd'\n", tmp_path).food.herd == "d"  # in a file: the default of the others


@gin.configurable(module="zoo")
class Keeper:
    def __init__(
        self,
        makes: Callable[..., Zebra] | None = None,
        owns: Zebra | None = None,
        tools: Sequence[Callable[[int], int]] = (),
    ) -> None: ...


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("Keeper.makes=@calm/Zebra()", "Keeper.makes: @calm/Zebra() is made too early; write @calm/Zebra, without ()"),
        ("Keeper.owns=@Zebra", "Keeper.owns: @Zebra is a class; write @Zebra()"),
        ("Keeper.tools=@Zebra()", "Keeper.tools: a list is wanted: [@Zebra()]"),
        ("Keeper.tools=[@Zebra]", "Keeper.tools: @Zebra is a class; write @Zebra()"),
        ("run.task=@Keeper", "run.task = @Keeper: write @Keeper()"),
    ],
)
def test_brackets_that_are_missing_or_too_many_are_named(binding: str, expected: str, tmp_path: Path) -> None:
    assert expected in message("run.task = @Keeper()\nZebra.herd = 'a'\n", tmp_path, binding)


def test_parts_and_functions_that_are_written_rightly_pass(tmp_path: Path) -> None:
    text = "run.task = @Keeper()\nZebra.herd = 'a'\nPART = @Zebra()\n"
    used(text + "Keeper.makes = @Zebra\nKeeper.owns = %PART\nKeeper.tools = [@count_animals, @Zebra()]\n", tmp_path)


def used(text: str, tmp_path: Path, bindings: Sequence[str] = ()) -> Any:
    load_config([write(tmp_path, text)], bindings)
    task = build_task()
    check_all_used()
    return task


def test_what_is_only_called_later_is_no_error(tmp_path: Path) -> None:
    lion = used(LION + "Lion.food = {'a': [@count_animals, 3]}\ncount_animals.most = 7\n", tmp_path)
    assert lion.food["a"][0]() == 7


def test_scopes_macros_blocks_and_singletons_are_followed(tmp_path: Path) -> None:
    lion = used(
        LION
        + "HERD = 'north'\n"
        + "Lion:\n  prey = @calm/Zebra()\n  food = @one/gin.singleton()\n"
        + "calm/Zebra.stripes = 5\nZebra.herd = %HERD\none/gin.singleton.constructor = @count_animals\n"
        + "one/count_animals.most = 9\n",
        tmp_path,
    )
    assert (lion.prey.stripes, lion.prey.herd, lion.food) == (5, "north", 9)


def test_included_defaults_need_not_all_be_used_but_must_exist(tmp_path: Path) -> None:
    write(tmp_path, "Zebra.stripes = 9\nTEETH = 4\nLion.teeth = %TEETH\n", "base.gin")
    assert used("include 'base.gin'\n" + LION + "Lion.teeth = 5\n", tmp_path).teeth == 5
    write(tmp_path, "Zebra.stripe = 9\n", "base.gin")
    assert "base.gin, line 1: Zebra has no parameter 'stripe'" in message("include 'base.gin'\n" + LION, tmp_path)


def test_later_files_and_the_command_line_override(tmp_path: Path) -> None:
    first = write(tmp_path, LION + "Lion.teeth = 1\nLion.name = 'a'\n", "first.gin")
    second = write(tmp_path, "Lion.teeth = 2\n", "second.gin")
    load_config([first, second], ['Lion.name="b"'])
    lion = build_task()
    assert (lion.teeth, lion.name) == (2, "b")


def test_a_required_macro_is_satisfied_from_the_command_line(tmp_path: Path) -> None:
    assert used(LION + "ROOT = %gin.REQUIRED\nLion.name = %ROOT\n", tmp_path, ['ROOT="../x"']).name == "../x"


def test_names_are_found_below_the_packaged_folder_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base/training.gin", "gin/base/training.gin"):
        load_config([name])
    with pytest.raises(InputError, match="base/trainin.gin does not exist.*the nearest is base/training.gin"):
        load_config(["base/trainin.gin"])


def test_the_documented_defaults_are_the_defaults() -> None:
    from sparse3d.training.settings import TrainSettings

    load_config([])
    plain = TrainSettings()
    load_config(["base/training.gin"])
    assert TrainSettings() == plain
    documented = {binding.argument for binding in config._bindings}
    assert documented == set(plain.__dataclass_fields__)


def test_the_text_of_a_config_reads_back_to_itself(tmp_path: Path) -> None:
    long = "many words that a printer would like to break, " * 8
    text = LION + "A = 3\nLion.teeth = %A\nLion.prey = @calm/Zebra()\ncalm/Zebra.herd = 'x'\n"
    load_config([write(tmp_path, text + f"Lion.name = {long!r}\nLion.food = [{{'a': (1, 2.5, None)}}, -1e-9]\n")])
    before, lion = config_text(), build_task()
    load_config_text(before)
    again = build_task()
    assert config_text() == before
    assert (again.teeth, again.name, again.food, again.prey.herd) == (3, long, lion.food, "x")
    load_config_text(before, ["A = 5"])
    assert build_task().teeth == 5


def test_loading_replaces_what_was_loaded_before(tmp_path: Path) -> None:
    load_config([write(tmp_path, LION + "Lion.teeth = 3\n")])
    load_config([write(tmp_path, LION)])
    assert build_task().teeth == 30
