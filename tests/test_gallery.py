"""The gallery in a real browser, without a network: as published under a sub-path, and opened from disk."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from page import IPYNB, MD, ROOT, differ, figures
from playwright.sync_api import expect

pytestmark = pytest.mark.machinery

PUBLISHED = "https://someone.github.io/mixtures/"
TUTORIAL = "gaussian_mixture_model.html"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
QUANTIZED = 2  # 256 colors make 0.8 of 255, a shift by one pixel makes 9


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("pages") / "site"
    env = dict(os.environ, GITHUB_REPOSITORY="someone/mixtures", GALLERY_URL=PUBLISHED)
    options = ["-q", "-W", "--keep-going", "-d", site.parent / "doctrees"]
    build = [sys.executable, "-m", "sphinx", *options, "gallery", site]
    subprocess.run(build, cwd=ROOT, env=env, check=True)
    return site


@pytest.fixture(scope="module")
def tutorial(site):
    """The tutorial's page, parsed."""
    return BeautifulSoup((site / TUTORIAL).read_bytes(), "lxml")


@pytest.fixture(scope="module")
def kinds(site):
    """The pages, and of those for the tags, which differ in words alone, the longest."""
    paths = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    one = max((path for path in paths if "/tag/" in path), key=len)
    return [path for path in paths if "/tag/" not in path or path == one]


@pytest.fixture
def watched(page, site):
    """A page whose network is the published site, with a list of what went wrong; an
    address that is not there is answered by 404.html, as on GitHub."""
    page.wrong, page.loaded = [], []

    def answer(route):
        address = urlsplit(route.request.url)._replace(query="").geturl()
        if not address.startswith(PUBLISHED):
            return route.abort() if address.startswith("http") else route.continue_()
        file = site / (unquote(address.removeprefix(PUBLISHED)) or "index.html")
        page.loaded.append(file)
        if file.is_file():
            route.fulfill(path=file)
        else:
            route.fulfill(path=site / "404.html", status=404)

    def hear(said):  # a request that fails is an error there too
        if said.type in ("error", "warning"):
            page.wrong.append((said.text, said.location["url"]))

    page.route("**", answer)
    page.on("console", hear)
    page.on("pageerror", lambda error: page.wrong.append(error))
    return page


@pytest.mark.parametrize("where", ["published", "from disk"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_kind_of_page_loads(watched, kinds, site, where, size):
    """In full, in 3 MB, no wider than the screen, and nothing moves meanwhile.

    On a phone the figures of cells are as wide as their words need, and scroll.
    """
    watched.set_viewport_size(size)
    watched.add_init_script("""window.shift = 0; new PerformanceObserver(
        list => list.getEntries().forEach(entry => { window.shift += entry.value })
    ).observe({type: "layout-shift", buffered: true})""")
    start = PUBLISHED if where == "published" else site.as_uri() + "/"
    for path in kinds:
        if path == "404.html" and where == "from disk":
            continue  # made for a server that answers any address with it
        watched.loaded.clear()
        watched.goto(start + path)
        # images are lazy, and one that does not load fails
        widths = watched.evaluate("""async () => {
            const images = [...document.querySelectorAll("main img")];
            for (const image of images) {
                image.scrollIntoView({behavior: "instant"});
                await image.decode();
            }
            const frame = image => image.closest(".cell_output a")?.clientWidth;
            const width = image => image.clientWidth;  // an inline frame has none
            return images.map(image => [width(image), frame(image) || width(image)]);
        }""")
        assert all(0 < width < size["width"] for _, width in widths), (path, widths)
        if size == PHONE and path == TUTORIAL:
            assert sum(whole >= 600 for whole, _ in widths) >= 13, widths
        wide = watched.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{path} is {wide} pixels wide"
        assert watched.evaluate("window.shift") < 0.01, f"{path}: something moved"
        weight = sum(file.stat().st_size for file in watched.loaded)
        assert weight < 3e6, f"{path}: {weight / 1e6:.1f} MB"
        assert not watched.wrong, path


def test_no_barrier(watched, kinds):
    """axe-core on every kind of page: WCAG 2.2 AA, at both widths, light and dark."""
    standards = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    for path in kinds:
        for size in (PHONE, DESKTOP):
            watched.set_viewport_size(size)
            watched.goto(PUBLISHED + path)
            # its colors are the same at both widths, and three quarters of the time
            rules = {"color-contrast": {"enabled": (path, size) != (TUTORIAL, PHONE)}}
            options = dict(runOnly=standards, resultTypes=["violations"], rules=rules)
            for scheme in ("light", "dark"):
                watched.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                expect(watched.locator("html")).to_have_attribute("data-theme", scheme)
                found = Axe().run(watched, options=options)
                where = f"{path}, {size}, {scheme}: {found.generate_report()}"
                assert not found.violations_count, where


def test_an_unknown_address_gets_the_404_page(watched):
    watched.goto(PUBLISHED + "no/such/page")
    expect(watched.locator("h1")).to_contain_text("Page not found")
    assert len(watched.wrong) == 1, watched.wrong  # the address itself
    watched.click(".navbar-brand")
    expect(watched).to_have_url(PUBLISHED + "index.html")


def test_figures_are_the_notebook_s(tutorial, stored, site, tmp_path):
    """With their alternative texts, and a place that is kept free till they are there."""
    expected = [(cell, png) for cell in stored.cells for png in figures(cell)]
    shown = tutorial.select("main .cell_output img")
    for image, (cell, png) in zip(shown, expected, strict=True):
        assert image["alt"] == cell.metadata["mystnb"]["image"]["alt"]
        assert differ(png, (site / image["src"]).read_bytes(), tmp_path) < QUANTIZED
    for image in tutorial.select("main img"):
        assert image["loading"] == "lazy" and image["width"] and image["height"]


def test_downloads_are_the_repository_s_files(tutorial, site, tmp_path):
    """The zip has the notebook with all that it imports."""
    links = [link["href"] for link in tutorial.select(".launch a[download]")]
    assert links == [IPYNB.name, MD.name, "gaussian_mixture_model.zip"]
    shutil.unpack_archive(site / links[2], tmp_path)
    package = [f"mixtures/{file.name}" for file in (ROOT / "mixtures").glob("*.py")]
    package.append("mixtures/templates/report.html")
    others = ("LICENSE", "README.md", "pyproject.toml", "requirements.txt")
    for name in (IPYNB.name, MD.name, "pymc3_support.py", *package, *others):
        packed = tmp_path / "gaussian_mixture_model" / name
        assert packed.read_bytes() == (ROOT / name).read_bytes()
    for name in links[:2]:
        assert (site / name).read_bytes() == (ROOT / name).read_bytes()


def test_from_the_card_to_the_tutorial_and_from_each_tag_back(watched, tutorial):
    watched.goto(PUBLISHED)
    watched.click("main .sd-card")
    tags = [link.text for link in tutorial.select(".post-terms a")]
    assert {"intermediate", "mixture model", "pymc3.Model"} < set(tags)
    for tag in tags:
        watched.get_by_role("link", name=tag, exact=True).first.click()
        expect(watched.locator("h1")).to_contain_text(tag)
        watched.get_by_role("link", name="Gaussian Mixture Model").last.click()
        expect(watched).to_have_url(re.compile(re.escape(PUBLISHED + TUTORIAL)))


def test_code_is_copied(watched):
    watched.goto(PUBLISHED + TUTORIAL)
    code = watched.locator(".cell_input", has_text="def mixture_model(")
    code.locator("button.copybtn").click()
    expect(code.locator("button.success")).to_be_attached()


def test_folds_say_what_they_hold(watched, stored):
    watched.goto(PUBLISHED + TUTORIAL)
    folded = [cell for cell in stored.cells if "hide-input" in str(cell.metadata)]
    labels = [cell.source.partition("\n")[0].removeprefix("# ") for cell in folded]
    folds = watched.locator("main details summary")
    expect(folds).to_have_text(labels, use_inner_text=True)


def test_a_preview_of_a_link_shows_the_picture(site, tutorial):
    tags, picture = tutorial.select("meta[content]"), "gaussian_mixture_model.png"
    meta = {tag.get("property") or tag.get("name"): tag["content"] for tag in tags}
    assert meta["og:url"] == PUBLISHED + TUTORIAL
    assert meta["og:image"] == PUBLISHED + picture
    assert (site / picture).read_bytes() == (ROOT / picture).read_bytes()
    assert "groups" in meta["description"] == meta["og:description"]


def test_the_feed_leads_to_the_published_tutorial(site, tutorial):
    feed = ET.parse(site / tutorial.find("link", type="application/atom+xml")["href"])
    (entry,) = feed.findall("{*}entry/{*}link")
    assert entry.get("href") == PUBLISHED + TUTORIAL


def test_links_lead_to_binder_and_to_the_source(tutorial):
    links = " ".join(link["href"] for link in tutorial.select(".launch a"))
    assert "https://mybinder.org/v2/gh/someone/mixtures/HEAD?" in links
    assert f"https://github.com/someone/mixtures/edit/main/{MD.name}" in links
