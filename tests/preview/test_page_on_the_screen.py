"""The page of `preview` in a real browser, by what is on its screen: pixels of screenshots, and the text that is seen.

On a machine without Chromium these tests are skipped; in CI, where `.ci/run` installs it, they fail instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, chromium
from conftest import Run
from numpy.typing import NDArray
from preview_sets import changed_copy, rows_of
from pycocotools import mask as coco

from asam_datasets.demo import DemoArchive
from asam_datasets.masks import colors
from asam_datasets.preview import PreviewOptions, overlay_colors, preview

pytestmark = [
    pytest.mark.skipif(
        chromium() is None and not os.environ.get("CI"),
        reason="Chromium is not here; as root, `apt-get install chromium` brings it",
    ),
    # pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
]

Row = dict[str, Any]
Color = NDArray[np.int64]
EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> <b>bold</b> \u202e"
WIDE = (1600, 1000)


@pytest.fixture(scope="module")
def page(each_kind: Path) -> Path:
    """The first six rows of the train table; boxes are off."""
    out = each_kind.with_name("page.html")
    preview(each_kind, out=out, rows="0:6", options=PreviewOptions(boxes=False))
    return out


@pytest.fixture(scope="module")
def rows(each_kind: Path) -> list[Row]:
    return rows_of(each_kind)[:6]


@pytest.fixture(scope="module")
def one() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(one: Browser, page: Path) -> Browser:
    """The page, just opened in a wide window."""
    one.look(*WIDE)
    one.move(1, 1)
    one.open(page)
    return one


def masks_of(row: Row) -> list[NDArray[np.bool_]]:
    return [coco.decode(one["segmentation"]).astype(bool) for one in row["annotations"]]


def by_area(row: Row) -> list[int]:
    """The annotations of a row, the largest first."""
    return sorted(range(len(row["annotations"])), key=lambda n: -row["annotations"][n]["area"])


def deepest(free: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of a pixel that is far from where an array is not true."""
    inner, last = np.pad(free, 1), np.pad(free, 1)
    while inner.any():
        last = inner
        inner = inner & np.roll(inner, 1, 0) & np.roll(inner, -1, 0) & np.roll(inner, 1, 1) & np.roll(inner, -1, 1)
    row, column = np.argwhere(last)[0].tolist()
    return row - 1, column - 1


def seen_of(row: Row, number: int) -> NDArray[np.bool_]:
    """Where a mask is on top: no smaller one covers it."""
    masks, order = masks_of(row), by_area(row)
    free = masks[number].copy()
    for other in order[order.index(number) + 1 :]:
        free &= ~masks[other]
    return free


def place(browser: Browser, row: Row, pixel: tuple[int, int]) -> tuple[float, float]:
    """Where a pixel of the image is in the window."""
    left, top, width, height = browser.box("#picture")
    return left + (pixel[1] + 0.5) * width / row["width"], top + (pixel[0] + 0.5) * height / row["height"]


def color_at(browser: Browser, where: tuple[float, float]) -> Color:
    color: Color = browser.screenshot((int(where[0]), int(where[1]), 1, 1))[0, 0].astype(int)
    return color


def near(color: Color, other: Any, most: int = 6) -> bool:
    return bool((np.abs(color - np.asarray(other).astype(int)) <= most).all())


# ----------------------------------------------------------------------------------------------------- masks, numbers


def test_pointing_lights_a_mask_and_a_click_keeps_it(browser: Browser, rows: list[Row]) -> None:
    row = rows[0]
    number = max(by_area(row)[1:], key=lambda n: int(seen_of(row, n).sum()))
    where, outside = place(browser, row, deepest(seen_of(row, number))), place(browser, row, (5, 5))
    tinted, before = color_at(browser, where), color_at(browser, outside)
    browser.press("m")
    plain = color_at(browser, where)
    browser.press("m")
    tint = overlay_colors(number + 1)[number]
    assert near(tinted, plain * (159 / 255) + tint * (96 / 255.0))

    browser.move(*where)
    one = row["annotations"][number]
    area = f"{one['area']:,} px"
    shown = browser.text("#numbers")
    for text in (area, str(one["id"]), f"{one['predicted_iou']:.3f}", f"{one['stability_score']:.3f}"):
        assert text in shown
    assert ", ".join(f"{one['bbox'][n]:.0f}" for n in range(4)) in shown
    assert near(color_at(browser, where), plain), "the mask is as the image has it"
    assert near(color_at(browser, outside), before * 0.5 + np.array([6, 8, 12]) * 0.5), "and the rest darker"

    browser.move(*outside)
    assert not browser.ask("document.querySelector('#numbers').checkVisibility()")
    assert near(color_at(browser, where), tinted)
    browser.click(*where)
    browser.move(*outside)
    assert area in browser.text("#numbers")
    assert "kept" in browser.text("#numbers-title")
    assert near(color_at(browser, where), plain)
    assert area in browser.ask("document.querySelector('#live').textContent"), "it is said as well"
    browser.press("Escape")
    assert not browser.ask("document.querySelector('#numbers').checkVisibility()")


def test_each_click_takes_the_next_mask_below(browser: Browser, rows: list[Row]) -> None:
    row = rows[0]
    masks = masks_of(row)
    depth = np.sum(masks, axis=0)
    pixel = deepest(depth == depth.max())
    below = [n for n in reversed(by_area(row)) if masks[n][pixel]]
    assert len(below) > 1
    where = place(browser, row, pixel)
    for number in below:
        browser.click(*where)
        assert f"{row['annotations'][number]['area']:,} px" in browser.text("#numbers")
    browser.click(*where)
    browser.move(1, 1)
    assert not browser.ask("document.querySelector('#numbers').checkVisibility()"), "below the last one is none"


def set_slider(browser: Browser, name: str, value: float) -> None:
    """As assistive technology does it; the keys of a slider are the browser's own."""
    script = f"document.querySelector('#{name}')"
    browser.ask(f"{script}.value = {value}, {script}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_sliders_hide_masks(browser: Browser, rows: list[Row]) -> None:
    row = rows[0]
    ious = [one["predicted_iou"] for one in row["annotations"]]
    number = min((n for n in by_area(row) if seen_of(row, n).sum() > 100), key=lambda n: ious[n])
    where = place(browser, row, deepest(seen_of(row, number)))
    tinted = color_at(browser, where)
    low = np.ceil(ious[number] * 200) / 200  # its steps
    set_slider(browser, "iou", low)
    left = [iou for iou in ious if iou >= low]
    assert browser.text("#shown") == f"{len(left)} of {len(ious)} masks"
    assert not near(color_at(browser, where), tinted)
    assert browser.ask("document.querySelectorAll('#options li:not([hidden])').length") == len(left)
    browser.click_on("#reset")
    assert browser.text("#shown") == f"{len(ious)} masks"
    assert near(color_at(browser, where), tinted)

    largest = row["annotations"][by_area(row)[0]]["area"]
    browser.ask("document.querySelector('#most').focus()")
    browser.press("ArrowLeft")  # of a slider, not the image before
    most = int(browser.text("#most-value").removesuffix(" px").replace(",", ""))
    assert 0.8 * largest < most < max(one["area"] for row in rows for one in row["annotations"])
    set_slider(browser, "most", 50)
    most = int(browser.text("#most-value").removesuffix(" px").replace(",", ""))
    kept = [one for one in row["annotations"] if one["area"] <= most]
    assert browser.text("#shown") == f"{len(kept)} of {len(ious)} masks"


def test_switches(browser: Browser, rows: list[Row]) -> None:
    row = rows[0]
    number = max(by_area(row)[1:], key=lambda n: int(seen_of(row, n).sum()))
    pixel = deepest(seen_of(row, number))
    where = place(browser, row, pixel)
    browser.click_on("label:has(#map)")
    assert near(color_at(browser, where), colors(number + 1)[number]), "the color of the conditioning image"
    browser.press("c", "m", "b")
    x, y, w, _ = row["annotations"][number]["bbox"]
    left, top, width, height = browser.box("#picture")
    scale = width / row["width"]
    upper = round(left + (x + 0.2 * w) * scale), round(top + y * scale), round(0.6 * w * scale), 1
    line = browser.screenshot(upper)[0].astype(int)
    color = overlay_colors(number + 1)[number]
    assert sum(near(each, color, 60) for each in line) > 0.5 * len(line), "the upper side of its box"
    browser.press("b", "p")
    px, py = row["annotations"][number]["point_coords"][0]
    dot = left + px * width / row["width"], top + py * height / row["height"]
    assert near(color_at(browser, dot), color)
    browser.press("p")
    assert not near(color_at(browser, dot), color)


# ---------------------------------------------------------------------------------------------------- images and keys


def test_search_and_keys_find_images(browser: Browser, rows: list[Row]) -> None:
    assert browser.text("#name") == rows[0]["file_name"]
    browser.press("ArrowRight", "ArrowRight")
    browser.wait("document.body.dataset.ready === '2'")
    assert (browser.text("#name"), browser.text("#text")) == (rows[2]["file_name"], rows[2]["caption"])
    assert browser.text("#place") == "3 / 6"
    browser.press("ArrowLeft")
    browser.wait("document.body.dataset.ready === '1'")
    browser.click_on("#next")
    browser.wait("document.body.dataset.ready === '2'")

    houses = [n for n, row in enumerate(rows) if "houses" in row["caption"]]
    assert len(houses) == 2
    browser.press("/")
    browser.type("HOUSES window")
    browser.wait(f"document.body.dataset.ready === '{houses[0]}'")
    assert browser.text("#found") == "2 of 6 images"
    names = browser.ask("[...document.querySelectorAll('#entries li:not([hidden]) .title')].map((e) => e.innerText)")
    assert names == [rows[n]["file_name"] for n in houses]
    browser.press("Tab", "ArrowRight")
    browser.wait(f"document.body.dataset.ready === '{houses[1]}'")
    browser.press("ArrowRight")
    assert browser.text("#place") == "2 / 2", "the last one that was found"

    browser.press("/")
    browser.ask("document.querySelector('#search').select()")
    browser.type(str(rows[4]["image_id"]))
    browser.wait("document.body.dataset.ready === '4'")
    browser.press("Tab", "j")
    assert "(100 %)" in browser.text("#numbers"), "its water"
    browser.press("/")
    browser.ask("document.querySelector('#search').select()")
    browser.type("nothing like it")
    assert browser.text("#found") == "0 of 6 images"


def test_masks_are_gone_through_by_keys(browser: Browser, rows: list[Row]) -> None:
    order = by_area(rows[0])
    browser.press("j", "j")
    assert str(rows[0]["annotations"][order[1]]["id"]) in browser.text("#numbers")
    browser.press("k")
    assert str(rows[0]["annotations"][order[0]]["id"]) in browser.text("#numbers")
    browser.ask("document.querySelector('#options').focus()")
    browser.press("End")
    assert str(rows[0]["annotations"][order[-1]]["id"]) in browser.text("#numbers")
    chosen = "document.querySelector('#options').getAttribute('aria-activedescendant')"
    assert browser.ask(f"document.getElementById({chosen}).ariaSelected") == "true"
    browser.press("?")
    assert "previous, next image" in browser.text("#keys")
    browser.click_on("#letters")
    browser.press("Escape", "m")
    assert browser.ask("document.querySelector('#masks').checked"), "letters are no keys when that is switched off"


# --------------------------------------------------------------------------------------------------------- everybody


def test_a_screen_reader_finds_everything_by_name(browser: Browser, rows: list[Row]) -> None:
    browser.press("j")
    tree = browser.tree()
    count = len(rows[0]["annotations"])
    for role, name in (
        ("navigation", "Images"), ("main", ""), ("searchbox", "Search image id, file name and caption"),
        ("slider", "Predicted IoU at least"), ("slider", "Area at least"), ("slider", "Area at most"),
        ("button", "Next image"), ("button", "Previous image"), ("listbox", "All masks by area"),
        ("image", f"sa_1.jpg, {count} masks, 300 × 420 (height × width)"),
    ):  # fmt: skip
        assert (role, name) in tree, [each for each in tree if each[0] == role]
    assert [name.split()[0] for role, name in tree if role == "checkbox"] == ["Masks", "Boxes", "Points", "Color"]
    assert sum(role == "option" for role, _ in tree) == count
    nameless = [role for role, name in tree if role in ("button", "checkbox", "slider", "option", "link") and not name]
    assert not nameless


@pytest.mark.parametrize(("width", "height"), [(400, 800), (800, 1000), WIDE])
def test_it_fits_every_window_in_light_and_dark(width: int, height: int, browser: Browser, page: Path) -> None:
    grounds = []
    for dark in (False, True):
        browser.look(width, height, dark=dark)
        browser.open(page)
        assert browser.ask("document.documentElement.scrollWidth") <= width
        left, _, wide, _ = browser.box("#picture")
        assert 0 <= left < left + wide <= width
        assert wide > 0.45 * width
        grounds.append(int(browser.screenshot((2, 2, 1, 1)).mean()))
    assert grounds[0] > 200
    assert grounds[1] < 40


def test_who_wants_no_motion_gets_none(browser: Browser) -> None:
    duration = "getComputedStyle(document.querySelector('#next')).transitionDuration"
    assert browser.ask(duration) != "0s"
    browser.look(*WIDE, motion=False)
    assert browser.ask(duration) == "0s"


# -------------------------------------------------------------------------------------------------------- other rows


@pytest.mark.parametrize("config", ["coco2017_val", "adversarial", "controlnet"])
def test_other_configs(config: str, one: Browser, each_kind: Path, tmp_path: Path) -> None:
    preview(each_kind, out=tmp_path / "page.html", config=config)
    one.look(*WIDE)
    one.open(tmp_path / "page.html")
    one.press("j")
    if config == "controlnet":
        assert not one.ask("document.querySelector('#options').checkVisibility()")
        assert "mask" not in one.text("#facts")
    elif config == "adversarial":
        assert "worst IoU 0.150" in one.text("#facts")
        assert " px (" in one.text("#numbers")
    else:
        assert "category\ncar" in one.text("#numbers").replace("\n\n", "\n")
        assert "car" in one.text("#text")
    assert not one.ask("document.querySelector('#iou').checkVisibility()")
    assert one.log == [f"request: {(tmp_path / 'page.html').as_uri()}"]


def test_without_the_image_masks_lie_on_a_neutral_ground(
    one: Browser, demo: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    only = ("--annotations-only", "sa_000000", "--out", tmp_path / "out")
    assert publish("--train", demo.archive, *only).code == 0
    preview(tmp_path / "out", out=tmp_path / "page.html", rows="0")
    one.look(*WIDE)
    one.open(tmp_path / "page.html")
    one.press("m")
    left, top, _, _ = one.box("#picture")
    assert near(color_at(one, (left + 40, top + 40)), (64, 68, 72), 0)
    assert "published without its image" in one.text("#facts")


def test_foreign_text_is_text(one: Browser, each_kind: Path, tmp_path: Path) -> None:
    """Tags are shown as they are written; and what would run in spite of that is refused, as tries from within show."""

    def change(rows: list[Row]) -> None:
        rows[0]["caption"], rows[0]["file_name"] = EVIL, EVIL

    preview(changed_copy(each_kind, tmp_path / "copy", change), out=tmp_path / "page.html", rows="0")
    one.look(*WIDE)
    one.open(tmp_path / "page.html")
    one.press("j")
    assert one.text("#text") == EVIL
    assert one.text("#name") == EVIL
    assert one.ask("document.querySelectorAll('b, img[src=x]').length") == 0
    assert one.ask("window.hacked") is None
    assert one.log == [f"request: {(tmp_path / 'page.html').as_uri()}"]
    refused = "try { %s; 'done' } catch (error) { error.name }"
    assert one.ask(refused % "document.body.innerHTML = '<b>bold</b>'") == "TypeError"
    assert one.ask(refused % "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))") == (
        "TypeError"
    )
    assert one.ask("fetch('http://127.0.0.1:9/').then(() => 'done', (error) => error.name)") == "TypeError"
    assert any("Content Security Policy" in line for line in one.log), one.log


def test_odd_numbers_are_shown_as_far_as_there_are_some(one: Browser, each_kind: Path, tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        nan, far = float("nan"), 2**63 - 1
        for number, one in enumerate(rows[0]["annotations"]):
            one.update(predicted_iou=nan, stability_score=None, bbox=[nan, -1e300, 1e300, 0], id=far, area=far - number)
            one["point_coords"] = [[nan, nan], [-1e9, 1e300]]
        rows[1]["image_id"] = 987654

    preview(changed_copy(each_kind, tmp_path / "copy", change), out=tmp_path / "page.html", rows="0:2")
    one.look(*WIDE)
    one.open(tmp_path / "page.html")
    one.press("j", "p")
    assert str(2**63 - 1) in one.text("#numbers")
    set_slider(one, "least", 100)
    one.press("/")
    one.type("98765")
    one.wait("document.body.dataset.ready === '1'")  # no name nor caption has it, but the id
    assert one.log == [f"request: {(tmp_path / 'page.html').as_uri()}"]
