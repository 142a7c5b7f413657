"""The characters of the glyph dataset: chosen once, shipped as ``glyphs.txt``.

``python -m dmlbench.datasets.glyph_alphabet`` prints that list again from the rule below.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import numpy as np

from dmlbench.data.images import DatasetError
from dmlbench.datasets.glyph_render import upright
from dmlbench.datasets.truetype import Font

FACES = {
    "DejaVuSans.ttf": "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22",
    "DejaVuSans-Bold.ttf": "b184b89e3c1075f22f6b71575b6fc20d4972b3cfd3b23322ca6fd596dcaef167",
    "DejaVuSans-Oblique.ttf": "ccdf74b350f11fd3dd5774de50e5e6346a1a5da1f5b7d5fb83590665e97a5213",
    "DejaVuSans-BoldOblique.ttf": (
        "6edf0283160186af451cbee71e7b845f2e4cabf264bb992ce668c83c25465e6f"
    ),
    "DejaVuSansMono.ttf": "602ec86b8948cfcd956482fe64f94c36c867770149ef2f791d4613f443bcecb3",
    "DejaVuSansMono-Bold.ttf": "baada9a5172fe20886251aff0433fc38461912d5daf07287e7bee56620a8da96",
    "DejaVuSansMono-Oblique.ttf": (
        "28052813f7a709fc89f52d192dc995ef4f0fdc5c3d7b73a49d6849b1916d0cd0"
    ),
    "DejaVuSansMono-BoldOblique.ttf": (
        "a69081c15c76c827e0a27a5a7f5c74b6135c843499955495ffa8c20d3a98288b"
    ),
    "DejaVuSerif.ttf": "107244956e9962b9e96faccdc551825e0ae0898ae13737133e1b921a2fd35ffa",
    "DejaVuSerif-Bold.ttf": "c3753f2ed6bc673f15846dc45addbeb3b9c872f32fb18fd53a21f1bef1ed7676",
    "DejaVuSerif-Italic.ttf": "3e7994fbc54fa10ce3352a42d548fadd7d9cadb69cb1109bc9d960f6dac57f04",
    "DejaVuSerif-BoldItalic.ttf": (
        "d93efec7a9d2e826768d1a2ee95b95870e15e29599a84f3484af1de1cec2e181"
    ),
}
"""The twelve faces of DejaVu 2.37, with the sha256 of their files."""

ALIKE = 0.97
"""Two characters look alike if the cosine of their upright images reaches this in some face."""

_SIDE = 24  # pixels of the upright images that are compared


def code_points() -> tuple[int, ...]:
    """Return the characters of the dataset, ascending."""
    text = (resources.files("dmlbench.datasets") / "glyphs.txt").read_text("ascii")
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return tuple(int(line, 16) for line in lines if line)


def load_faces(folder: Path | None = None) -> list[Font]:
    """Return the twelve faces, from matplotlib's fonts or from `folder`.

    Raises `DatasetError` where one is missing or is not the file that `FACES` names.
    """
    if folder is None:
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = []
    for name, expected in FACES.items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise DatasetError(
                f"glyphs: the font {folder / name} cannot be read ({error.strerror}). It comes "
                "with matplotlib: reinstall that (pip install --force-reinstall matplotlib)."
            ) from error
        if found != expected:
            raise DatasetError(
                f"glyphs: the font {folder / name} is not that of DejaVu 2.37: sha256 {found}, "
                f"expected {expected}. Other outlines would make another dataset; install a "
                "matplotlib that ships the original fonts (from PyPI)."
            )
        fonts.append(Font(folder / name))
    return fonts


def candidates(fonts: Iterable[Font]) -> list[int]:
    """Return the characters that have ink in every face, except combining marks, ascending."""
    fonts = list(fonts)
    shared = set.intersection(*(set(font.glyph_of) for font in fonts))
    return sorted(
        code
        for code in shared
        if unicodedata.category(chr(code)) != "Mn" and all(len(f.segments(code)) for f in fonts)
    )


def likeness(fonts: Iterable[Font], codes: Iterable[int]) -> np.ndarray:
    """Return the highest cosine over the faces of each two characters: (c, c) float32.

    Glyphs are compared upright, centred and at one size, as views of them differ in all three.
    """
    codes = list(codes)
    highest = np.full((len(codes), len(codes)), -1, dtype=np.float32)
    for font in fonts:
        images = upright([font.segments(code) for code in codes], _SIDE).reshape(len(codes), -1)
        images = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
        np.maximum(highest, images @ images.T, out=highest)
    return highest


def keep_distinct(codes: list[int], alike: np.ndarray) -> list[int]:
    """Return the characters left when each that is alike to an earlier one kept is left out.

    alike: (c, c), bool.
    """
    left_out = np.zeros(len(codes), dtype=bool)
    kept = []
    for i, code in enumerate(codes):
        if not left_out[i]:
            kept.append(code)
            left_out |= alike[i]
    return kept


def main() -> None:
    """Print the list, one code point a line, with what it is for the reader."""
    fonts = load_faces()
    codes = candidates(fonts)
    kept = keep_distinct(codes, likeness(fonts, codes) >= ALIKE)
    print(f"# {len(kept)} of the {len(codes)} characters that have ink in all twelve DejaVu faces,")
    print("# look-alikes left out. Made by: python -m dmlbench.datasets.glyph_alphabet")
    for code in kept:
        print(f"{code:04X}  # {unicodedata.name(chr(code))}")


if __name__ == "__main__":
    main()
