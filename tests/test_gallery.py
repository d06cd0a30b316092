"""The gallery in a real browser, without a network: as published under a sub-path, and opened from disk."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import IPYNB, MD, ROOT, differ
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
def soups(site):
    """Every page by its path in the site, parsed."""
    return {
        str(path.relative_to(site)): BeautifulSoup(path.read_bytes(), "lxml")
        for path in sorted(site.rglob("*.html"))
    }


@pytest.fixture(scope="module")
def kinds(soups):
    """The pages, and of those for the tags, which differ in words alone, the longest."""
    one = max((path for path in soups if "/tag/" in path), key=len)
    return [path for path in soups if "/tag/" not in path or path == one]


@pytest.fixture
def watched(page, site):
    """A page whose network is the published site alone, with the list of all that went
    wrong on it. As on GitHub, an address that is not there is answered by 404.html."""
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
    """In full, in 3 MB, no wider than the screen, and nothing moves meanwhile."""
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
        # down to the end, so that all that is lazy gets loaded; an image that is not fails
        widths = watched.evaluate("""async () => {
            for (const image of document.querySelectorAll("main img")) {
                image.scrollIntoView({behavior: "instant"});
                await image.decode();
            }
            scrollTo({top: document.body.scrollHeight, behavior: "instant"});
            return [...document.querySelectorAll("main img")].map(i => i.clientWidth);
        }""")
        assert all(0 < width < size["width"] for width in widths), f"{path}: {widths}"
        wide = watched.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{path} is {wide} pixels wide"
        assert watched.evaluate("window.shift") < 0.01, f"{path}: something moved"
        weight = sum(file.stat().st_size for file in watched.loaded)
        assert weight < 3e6, f"{path}: {weight / 1e6:.1f} MB"
        assert not watched.wrong, path


def test_no_barrier(watched, kinds):
    """axe-core on every kind of page: WCAG 2.2 AA, at both widths, light and dark."""
    found, standards = [], ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
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
                result = Axe().run(watched, options=options).response
                for violation in result["violations"]:
                    places = [node["target"][0] for node in violation["nodes"][:3]]
                    found.append((path, size["width"], scheme, violation["id"], places))
    assert not found, "\n".join(map(str, found))


def test_every_link_leads_somewhere(soups, site):
    """Inside the site, to a file that is there and to an anchor in it."""
    broken = []
    for path, page in soups.items():
        for element in page.select("[href], [src]"):
            address = element.get("href") or element.get("src")
            target, anchor = urldefrag(urljoin(PUBLISHED + path, address))
            if not target.startswith(urljoin(PUBLISHED, "/")):
                continue
            file = unquote(target.removeprefix(PUBLISHED).partition("?")[0])
            soup = soups.get(file or "index.html")
            there = soup or (site / file).is_file()
            if not there or anchor and soup and not soup.find(id=unquote(anchor)):
                broken.append(f"{path}: {address}")
    assert not broken, "\n".join(broken)


def test_an_unknown_address_gets_the_404_page(watched):
    watched.goto(PUBLISHED + "no/such/page")
    expect(watched.locator("h1")).to_contain_text("Page not found")
    assert len(watched.wrong) == 1, watched.wrong  # the address itself
    watched.click(".navbar-brand")
    expect(watched).to_have_url(PUBLISHED + "index.html")


def test_figures_are_the_notebook_s(soups, stored, site, tmp_path):
    """With their alternative texts, and a place that is kept free till they are there."""
    expected = [
        (cell.metadata["mystnb"]["image"]["alt"], b64decode(out.data["image/png"]))
        for cell in stored.cells
        for out in cell.get("outputs", [])
        if "image/png" in out.get("data", {})
    ]
    shown = soups[TUTORIAL].select("main .cell_output img")
    for image, (alt, png) in zip(shown, expected, strict=True):
        assert image["alt"] == alt
        assert differ(png, (site / image["src"]).read_bytes(), tmp_path) < QUANTIZED
    for image in soups[TUTORIAL].select("main img"):
        assert image["loading"] == "lazy" and image["width"] and image["height"]


def test_downloads_are_the_repository_s_files(soups, site, tmp_path):
    """The zip, unpacked, has the notebook with the package that it imports."""
    links = [link["href"] for link in soups[TUTORIAL].select(".launch a[download]")]
    assert links == [IPYNB.name, MD.name, "gaussian_mixture_model.zip"]
    assert (site / IPYNB.name).read_bytes() == IPYNB.read_bytes()
    assert (site / MD.name).read_bytes() == MD.read_bytes()
    shutil.unpack_archive(site / links[2], tmp_path)
    unpacked = tmp_path / "gaussian_mixture_model"
    package = [f"mixtures/{file.name}" for file in (ROOT / "mixtures").glob("*.*")]
    others = ("LICENSE", "README.md", "pyproject.toml", "requirements.txt")
    for name in (IPYNB.name, MD.name, *package, *others):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()
    assert len(list((unpacked / "mixtures").iterdir())) == len(package)
    where = [sys.executable, "-c", "import mixtures; print(mixtures.__file__)"]
    found = subprocess.check_output(where, cwd=unpacked, text=True)
    assert found == f"{unpacked / 'mixtures/__init__.py'}\n"


def test_from_the_card_to_the_tutorial_and_from_each_tag_back(watched, soups):
    watched.goto(PUBLISHED)
    watched.click("main .sd-card")
    tags = [link.text for link in soups[TUTORIAL].select(".post-terms a")]
    assert {"intermediate", "mixture model", "pymc3.Model"} < set(tags)
    for tag in tags:
        watched.get_by_role("link", name=tag, exact=True).first.click()
        expect(watched.locator("h1")).to_contain_text(tag)
        watched.get_by_role("link", name="Gaussian Mixture Model").last.click()
        expect(watched).to_have_url(re.compile(re.escape(PUBLISHED + TUTORIAL)))


def test_code_is_copied_and_folds_say_what_they_hold(watched, stored):
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.goto(PUBLISHED + TUTORIAL)
    cell = next(cell for cell in stored.cells if "def mixture_model" in cell.source)
    shown = watched.locator(".cell_input", has_text="def mixture_model(")
    shown.locator("button.copybtn").click()
    copied = watched.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == cell.source
    folded = [cell for cell in stored.cells if "hide-input" in str(cell.metadata)]
    labels = [cell.source.partition("\n")[0].removeprefix("# ") for cell in folded]
    folds = watched.locator("main details summary")
    expect(folds).to_have_text(labels, use_inner_text=True)
    code = watched.locator("main details pre").first
    expect(code).to_be_hidden()
    folds.first.click()
    expect(code).to_be_visible()


def test_what_others_see_of_it(site, soups):
    """Feed, description and preview card, with addresses of the published site."""
    page, picture = soups[TUTORIAL], "gaussian_mixture_model.png"
    tags = page.select("meta[content]")
    meta = {tag.get("property") or tag.get("name"): tag["content"] for tag in tags}
    assert meta["og:url"] == PUBLISHED + TUTORIAL
    assert meta["og:image"] == PUBLISHED + picture
    assert (site / picture).read_bytes() == (ROOT / picture).read_bytes()
    assert "groups" in meta["description"] == meta["og:description"]
    feed = ET.parse(site / page.find("link", type="application/atom+xml")["href"])
    (entry,) = feed.findall("{*}entry/{*}link")
    assert entry.get("href") == PUBLISHED + TUTORIAL
    links = " ".join(link["href"] for link in page.select(".launch a"))
    assert "https://mybinder.org/v2/gh/someone/mixtures/HEAD?" in links
    assert f"https://github.com/someone/mixtures/edit/main/{MD.name}" in links
