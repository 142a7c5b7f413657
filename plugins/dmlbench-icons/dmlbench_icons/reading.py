"""How each package keeps its drawings: a function per set, which gives "style/name" -> SVG text.

Nothing is drawn here. Only styles that change a drawing's shape or filling are read. Other weights
of one outline (thin, light, bold, rounded corners) are copies to the eye, and are left out.
"""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from dmlbench_icons.fonts import font_drawings


def package_folder(module: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises `ModuleNotFoundError` where it is not installed.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return Path(next(iter(found.submodule_search_locations)))


def lucide() -> Mapping[str, str]:
    """Lucide has one style."""
    return {f"line/{path.stem}": text for path, text in _zipped("justmyresource_lucide")}


def phosphor() -> Mapping[str, str]:
    """Phosphor, without its weights thin, light and bold."""
    suffixes = {"regular": "", "fill": "-fill", "duotone": "-duotone"}
    return {
        f"{style}/{path.stem.removesuffix(suffixes[style])}": text
        for path, text in _zipped("justmyresource_phosphor")
        if (style := path.parent.name) in suffixes
    }


def heroicons() -> Mapping[str, str]:
    """Heroicons, without "mini" (20 px), which is "solid" for another grid."""
    styles = {"24/outline": "outline", "24/solid": "solid", "16/solid": "micro"}
    return {
        f"{styles[str(path.parent)]}/{path.stem}": text
        for path, text in _zipped("justmyresource_heroicons")
        if str(path.parent) in styles
    }


def mdi() -> Mapping[str, str]:
    """Material Design Icons of the community; "-outline" is a style."""
    found = _zipped("justmyresource_mdi")
    return {_by_suffix(path.stem, {"-outline": "outline"}, "fill"): text for path, text in found}


def material() -> Mapping[str, str]:
    """Google's Material Icons, without "rounded"."""
    return {
        f"{path.parent.name}/{path.stem}": text
        for path, text in _zipped("justmyresource_material_icons")
        if path.parent.name != "rounded"
    }


def fontawesome() -> Mapping[str, str]:
    """Font Awesome Free, without brands."""
    return {
        f"{path.parent.name}/{path.stem}": text
        for path, text in _zipped("justmyresource_font_awesome")
        if path.parent.name != "brands"
    }


def tabler() -> Mapping[str, str]:
    """Tabler Icons, without brands."""
    return {
        f"{path.parent.name}/{path.stem.removesuffix('-filled')}": path.read_text("utf-8")
        for path in _files("pytablericons", "icons")
        if not path.stem.startswith("brand-")
    }


def ionicons() -> Mapping[str, str]:
    """Ionicons, without logos."""
    styles = {"-outline": "outline", "-sharp": "sharp"}
    return {
        _by_suffix(path.stem, styles, "filled"): path.read_text("utf-8")
        for path in _files("ionicons_python", "icons")
        if not path.stem.startswith("logo-")
    }


def bootstrap() -> Mapping[str, str]:
    """Bootstrap Icons; "-fill" is a style."""
    return {
        _by_suffix(path.stem, {"-fill": "fill"}, "line"): path.read_text("utf-8")
        for path in _files("js_lib_bootstrap_icons", "static/bootstrap-icons")
    }


def octicons() -> Mapping[str, str]:
    """Octicons of 24 and 16 px, which are drawn separately."""
    import octicons_pack

    found = {}
    for constant in octicons_pack.__all__:
        name, _, size = constant.lower().replace("_", "-").rpartition("-")
        if size in ("16", "24"):
            style = _by_suffix(name, {"-fill": f"fill-{size}"}, f"line-{size}")
            found[style] = getattr(octicons_pack, constant).svg
    return found


def remix() -> Mapping[str, str]:
    """Remix Icon 2.5.0, from its font: Apache 2.0, which later releases no longer are."""
    names = _code_points(package_folder("qtawesome"), "remixicon-charmap-2.5.0.json")
    styles = {"-line": "line", "-fill": "fill"}
    return font_drawings(
        package_folder("qtawesome") / "fonts" / "remixicon-2.5.0.ttf",
        {_by_suffix(name, styles, "line"): code for name, code in names.items()},
    )


def codicons() -> Mapping[str, str]:
    """Codicons, from their font."""
    names = _code_points(package_folder("qtawesome"), "codicon-charmap-0.0.36.json")
    return font_drawings(
        package_folder("qtawesome") / "fonts" / "codicon-0.0.36.ttf",
        {_by_suffix(name, {"-filled": "filled"}, "line"): code for name, code in names.items()},
    )


def elusive() -> Mapping[str, str]:
    """Elusive Icons, from their font; "-alt" is the same in a circle or outlined."""
    names = _code_points(package_folder("qtawesome"), "elusiveicons-webfont-charmap-2.0.json")
    return font_drawings(
        package_folder("qtawesome") / "fonts" / "elusiveicons-webfont-2.0.ttf",
        {_by_suffix(name, {"-alt": "alt"}, "fill"): code for name, code in names.items()},
    )


_BOXICON = re.compile(r'\.(bxs?)-([a-z0-9-]+):before\s*\{\s*content:\s*"\\([0-9a-f]+)"')


def boxicons() -> Mapping[str, str]:
    """Boxicons, from their font, without logos."""
    folder = package_folder("iconipy") / "assets" / "boxicons"
    styles = {"bx": "regular", "bxs": "solid"}
    rules = _BOXICON.findall((folder / "boxicons.css").read_text("utf-8"))
    codes = {f"{styles[prefix]}/{name}": int(code, 16) for prefix, name, code in rules}
    return font_drawings(folder / "boxicons.ttf", codes)


def lineicons() -> Mapping[str, str]:
    """Lineicons, from their font; a number at the end tells drawings of one thing apart."""
    folder = package_folder("iconipy") / "assets" / "lineicons"
    names = json.loads((folder / "unicodesMap.json").read_text("utf-8"))
    codes = {f"line/{name.removeprefix('lni-')}": code for name, code in names.items()}
    return font_drawings(folder / "lineicons.ttf", codes)


def _zipped(module: str) -> Iterator[tuple[PurePosixPath, str]]:
    with zipfile.ZipFile(package_folder(module) / "icons.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".svg"):
                yield PurePosixPath(name), archive.read(name).decode("utf-8")


def _files(module: str, folder: str) -> list[Path]:
    return sorted((package_folder(module) / folder).rglob("*.svg"))


def _code_points(folder: Path, file: str) -> dict[str, int]:
    names = json.loads((folder / "fonts" / file).read_text("utf-8"))
    return {name: int(code, 16) for name, code in names.items()}


def _by_suffix(name: str, styles: Mapping[str, str], otherwise: str) -> str:
    """Return "style/name" of a name whose ending says the style."""
    for suffix, style in styles.items():
        if name.endswith(suffix):
            return f"{style}/{name.removesuffix(suffix)}"
    return f"{otherwise}/{name}"
