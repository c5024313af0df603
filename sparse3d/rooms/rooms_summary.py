"""The table that :mod:`sparse3d.rooms.make_rooms` ends with: what lies in a folder of rooms."""

from __future__ import annotations

from collections import Counter

from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.label_table import NYU40
from sparse3d.rooms.make_rooms import Made, split_of

# nyu40 ids of ScanNet's 20 benchmark classes.
BENCHMARK = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)


def summary_table(made: Made) -> str:
    """Rooms by kind, then for each of the 20 classes its vertices, its objects and the rooms that have it."""
    rooms = made.rooms
    kinds = Counter(room["kind"] for room in rooms)
    vertices = sum(room["vertices"] for room in rooms)
    lines = [
        f"{made.folder}: {len(rooms)} rooms ({made.made} made now in {made.seconds:.1f} s, {made.skipped} were there), "
        f"{made.bytes / 1e6:.1f} MB",
        f"kinds: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}",
        f"frames: {sum(room['frames'] for room in rooms)}; vertices: {vertices}; "
        f"objects: {sum(sum(room['objects'].values()) for room in rooms)}",
        f"{'class':<16}{'vertices':>12}{'share':>8}{'objects':>9}{'in train rooms':>16}{'in val rooms':>14}",
    ]
    for nyu40 in BENCHMARK:
        name = NYU40[nyu40 - 1]
        own = sum(room["vertices_by_nyu40"].get(name, 0) for room in rooms)
        objects = sum(
            count for room in rooms for label, count in room["objects"].items() if CATEGORIES[label].nyu40 == nyu40
        )
        having = Counter(split_of(room["index"], made.val_every) for room in rooms if name in room["vertices_by_nyu40"])
        share = f"{100 * own / max(vertices, 1):.2f}%"
        lines.append(f"{name:<16}{own:>12}{share:>8}{objects:>9}{having['train']:>16}{having['val']:>14}")
    lines += _unmeasured_kinds(made)
    lines += [f"model left out: {label}: {reason}" for label, reason in sorted(made.unusable_models.items())]
    return "\n".join(lines)


def _unmeasured_kinds(made: Made) -> list[str]:
    """A line where validation has not all kinds of room: kinds come in a sequence that some steps hardly move in."""
    lacking = _kinds_without_validation(made, made.val_every)
    if not lacking:
        return []
    shares = range(max(2, 3 * made.val_every // 4), 5 * made.val_every // 4 + 1)  # about as many rooms as now
    near = sorted(shares, key=lambda every: (abs(every - made.val_every), every))
    better = next((every for every in near if not _kinds_without_validation(made, every)), None)
    remedy = "" if better is None else f"; in a new folder, --val-every {better} has all kinds"
    return [f"no validation room is a {', '.join(lacking)}: what occurs only there is not measured{remedy}"]


def _kinds_without_validation(made: Made, every: int) -> list[str]:
    kinds = Counter((room["kind"], split_of(room["index"], every)) for room in made.rooms)
    return sorted({kind for kind, _ in kinds if not kinds[kind, "val"]})
