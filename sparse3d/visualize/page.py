"""Reports as one HTML page that needs no other file: pictures stand in it as base64."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1340px; padding: 0 1em; color: #1e1e1e; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; border-top: 1px solid #ccc; padding-top: 1em; margin-top: 2em; }
table { border-collapse: collapse; margin: .6em 0; } caption { text-align: left; font-weight: 600; padding: .2em 0; }
td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th { font-weight: 600; border-bottom: 1px solid #ccc; }
.warning { background: #fdeeda; border-left: 4px solid #d9822b; padding: .4em .8em; margin: .4em 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .2em; } img { max-width: 100%; display: block; }
"""


@dataclass
class Table:
    """A table with a caption; cells that hold numbers are set flush right."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_html(self) -> str:
        """The table's markup."""
        numeric = [
            all(row[k][:1].isdigit() or row[k] in ("", "-") for row in self.rows) and bool(self.rows)
            for k in range(len(self.header))
        ]

        def cells(tag: str, row: Sequence[str]) -> str:
            marks = [' class="n"' if n else "" for n in numeric]
            return "".join(f"<{tag}{m}>{html.escape(c)}</{tag}>" for m, c in zip(marks, row, strict=True))

        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return f"<table><caption>{html.escape(self.caption)}</caption><tr>{cells('th', self.header)}</tr>{body}</table>"


@dataclass
class Section:
    """One part of a page: a heading, warnings, tables and captioned pictures, in that order."""

    title: str
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: list[tuple[str, str]] = field(default_factory=list)  # caption and data URL

    def add_picture(self, caption: str, image: np.ndarray, photograph: bool = False) -> None:
        """Add ``image`` (H, W, 3) uint8; photographs are kept as JPEG, drawings without loss."""
        self.pictures.append((caption, data_url(image, photograph)))

    def as_html(self) -> str:
        """The section's markup."""
        parts = [f"<section><h2>{html.escape(self.title)}</h2>"]
        parts += [f'<p class="warning">{html.escape(warning)}</p>' for warning in self.warnings]
        parts += [table.as_html() for table in self.tables]
        figures = "".join(
            f'<figure><figcaption>{html.escape(caption)}</figcaption><img alt="{html.escape(caption)}" src="{url}">'
            "</figure>"
            for caption, url in self.pictures
        )
        return "".join(parts) + f'<div class="pictures">{figures}</div></section>\n'


def data_url(image: np.ndarray, photograph: bool = False) -> str:
    """``image`` (H, W, 3) uint8 as a data URL: JPEG for a photograph, else PNG."""
    buffer = io.BytesIO()
    kind = "jpeg" if photograph else "png"
    if photograph:
        Image.fromarray(image).save(buffer, kind, quality=88, subsampling=0)  # thin coloured lines blur when subsampled
    else:
        Image.fromarray(image).save(buffer, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def page(title: str, introduction: str, summary: Table, sections: Sequence[Section]) -> str:
    """The whole page."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1><p>{html.escape(introduction)}</p>{summary.as_html()}"
    sections_html = "".join(section.as_html() for section in sections)
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}{sections_html}</body></html>\n'
