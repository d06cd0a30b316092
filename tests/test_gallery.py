"""The gallery in a real browser, without a network: as published under a sub-path, and opened from disk."""

import base64
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import IPYNB, MD, ROOT, cell_that_defines
from playwright.sync_api import expect
from test_outputs import FAINT, distance, figures

pytestmark = pytest.mark.machinery

TUTORIAL = "gaussian_mixture_model.html"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site in a folder that is named as the repository, since that is the sub-path of its pages."""
    site = tmp_path_factory.mktemp("pages") / "mixtures"
    sphinx = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        "--fail-on-warning",
        "--keep-going",
    ]
    published = {
        "GITHUB_REPOSITORY": "someone/mixtures",
        "GALLERY_URL": "https://someone.github.io/mixtures/",
    }
    run = subprocess.run(
        [*sphinx, "--doctree-dir", site.parent / "doctrees", "gallery", site],
        cwd=ROOT,
        env=os.environ | published,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return site


@pytest.fixture(scope="module")
def served(site):
    """Its address on this machine. As on GitHub, a page that is not there is answered by 404.html."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def send_error(self, code, *args, **kwargs):
            body = (site / "404.html").read_bytes()
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

    handler = functools.partial(Handler, directory=site.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *args: None  # a browser that went on
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/mixtures/"
        server.shutdown()


@pytest.fixture(scope="module")
def soups(site):
    """Every page by its path in the site, parsed."""
    return {
        str(path.relative_to(site)): BeautifulSoup(
            path.read_text(encoding="utf-8"), "lxml"
        )
        for path in sorted(site.rglob("*.html"))
    }


@pytest.fixture
def watched(page, site):
    """A page whose network ends at this machine, with the list of all that went wrong on it."""
    wrong = page.wrong = []
    here = re.compile(r"file:|data:|blob:|http://127\.0\.0\.1")

    def only_here(route):
        if here.match(route.request.url):
            return route.continue_()
        wrong.append(f"asks the network for {route.request.url}")
        route.abort()

    page.route("**", only_here)
    left = "net::ERR_ABORTED"  # the reader went on before it was there
    page.on(
        "requestfailed",
        lambda request: (
            request.failure == left or wrong.append(f"failed: {request.url}")
        ),
    )
    page.on(
        "response",
        lambda response: (
            response.ok or wrong.append(f"{response.status}: {response.url}")
        ),
    )
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "console",
        lambda m: (
            m.type in ("error", "warning")
            and wrong.append(f"console {m.type}: {m.text}")
        ),
    )
    return page


@pytest.fixture(scope="module")
def kinds(soups):
    """The pages, and of those for the tags, which differ in words alone, the longest."""
    one = max((path for path in soups if "/tag/" in path), key=len)
    return [path for path in soups if "/tag/" not in path or path == one]


def scroll(page):
    """From picture to picture down to the end, so that all that is lazy gets loaded."""
    page.evaluate("""async () => {
        for (const image of document.images) {
            image.scrollIntoView({behavior: "instant"});
            await image.decode();
        }
        scrollTo({top: document.body.scrollHeight, behavior: "instant"});
    }""")


@pytest.mark.parametrize("where", ["served", "from disk"])
def test_every_kind_of_page_loads(watched, soups, kinds, site, served, where):
    start = served if where == "served" else site.as_uri() + "/"
    for path in kinds:
        if path == "404.html" and where == "from disk":
            continue  # made for a server that answers any address with it
        for size in (PHONE, DESKTOP):
            watched.set_viewport_size(size)
            watched.goto(start + path)
            scroll(watched)
            sizes = watched.eval_on_selector_all(
                "main img", "all => all.map(i => [i.naturalWidth, i.clientWidth])"
            )
            assert len(sizes) == len(soups[path].select("main img"))
            assert all(natural > 0 and shown > 0 for natural, shown in sizes), (
                f"{path}: a figure is missing"
            )
            width = watched.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], (
                f"{path} is {width} pixels wide on a screen of {size['width']}"
            )
            assert not watched.wrong, f"{path}: {watched.wrong}"


def test_no_barrier(watched, kinds, served):
    """axe-core on every kind of page: WCAG 2.2 AA, at both widths, light and dark."""
    found = []
    for path in kinds:
        for size in (PHONE, DESKTOP):
            watched.set_viewport_size(size)
            watched.goto(served + path)
            for scheme in ("light", "dark"):
                watched.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                expect(watched.locator("html")).to_have_attribute("data-theme", scheme)
                tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
                # its colors are the same at both widths, and three quarters of the time
                once = path == TUTORIAL and size == PHONE
                rules = {"color-contrast": {"enabled": not once}}
                options = dict(runOnly=tags, resultTypes=["violations"], rules=rules)
                result = Axe().run(watched, options=options).response
                assert result["testEngine"]["version"]
                for violation in result["violations"]:
                    places = [node["target"][0] for node in violation["nodes"]]
                    found.append(
                        f"{path}, {size['width']} {scheme}: {violation['help']}: {places[:3]}"
                    )
    assert not found, "\n".join(found)


def test_every_link_leads_somewhere(soups, site):
    """Inside the site, to a file that is there and to an anchor in it; nothing is loaded from outside."""
    broken = []
    for path, soup in soups.items():
        for element in soup.select("[href], [src]"):
            address = element.get("href") or element.get("src")
            if re.match(r"https?:|mailto:|data:", address):
                loaded = element.name in (
                    "script",
                    "img",
                    "iframe",
                ) or "stylesheet" in element.get("rel", [])
                broken += [f"{path} loads {address}"] if loaded else []
                continue
            target, anchor = urldefrag(
                urljoin("https://site/mixtures/" + path, address)
            )
            inside = (
                unquote(target.removeprefix("https://site/mixtures/").partition("?")[0])
                or "index.html"
            )
            if not (site / inside).is_file():
                broken.append(f"{path}: {address}")
            elif (
                anchor
                and inside in soups
                and not soups[inside].find(id=unquote(anchor))
            ):
                broken.append(f"{path}: {address} has no such anchor")
    assert not broken, "\n".join(broken)


def test_an_unknown_address_gets_the_404_page(watched, served):
    assert watched.goto(served + "no/such/page").status == 404
    watched.wrong.clear()  # the 404 itself
    assert watched.locator("h1").inner_text().startswith("This page does not exist")
    assert (
        watched.evaluate(
            "document.styleSheets.length && getComputedStyle(document.body).fontFamily"
        )
        != ""
    )
    watched.click(".navbar-brand")
    assert watched.url == served + "index.html"
    assert not watched.wrong


def test_figures_are_the_notebook_s_with_its_alternative_texts(soups, stored, site):
    shown = soups[TUTORIAL].select("main .cell_output img")
    of_notebook = [
        (cell.metadata["mystnb"]["image"]["alt"], png)
        for cell in stored.cells
        if cell.cell_type == "code"
        for png in figures(cell)
    ]
    assert [image["alt"] for image in shown] == [alt for alt, _ in of_notebook]
    for image, (alt, png) in zip(shown, of_notebook):
        file = (site / image["src"]).read_bytes()
        assert distance(base64.b64encode(file), png) < FAINT, alt
    images = soups[TUTORIAL].select("main img")
    assert len(images[0]["alt"]) > 60
    assert all(
        image["loading"] == "lazy" and image["width"] and image["height"]
        for image in images
    )


def test_the_tutorial_is_light_and_keeps_still(watched, served):
    weight = []
    watched.on("response", lambda response: weight.append(len(response.body())))
    watched.add_init_script("""window.shift = 0; new PerformanceObserver(
        list => list.getEntries().forEach(entry => { window.shift += entry.value })
    ).observe({type: "layout-shift", buffered: true})""")
    for size in (PHONE, DESKTOP):
        weight.clear()
        watched.set_viewport_size(size)
        watched.goto(served + TUTORIAL)
        scroll(watched)
        assert sum(weight) < 3e6, f"{sum(weight) / 1e6:.1f} MB"
        assert watched.evaluate("window.shift") < 0.01, (
            "something moved while the page loaded"
        )


def test_downloads_are_the_repository_s_files(watched, served):
    watched.goto(served + TUTORIAL)
    for file in (IPYNB, MD):
        with watched.expect_download() as download:
            watched.click(f".launch a[href$='{file.suffix}'][download]")
        assert download.value.suggested_filename == file.name
        assert open(download.value.path(), "rb").read() == file.read_bytes()


def test_from_the_card_to_the_tutorial_and_from_each_tag_back(watched, served, soups):
    watched.goto(served)
    watched.click("main .sd-card")
    assert watched.url.endswith(TUTORIAL)
    tags = re.search(r"^:tags: ([^[].*)$", MD.read_text(encoding="utf-8"), flags=re.M)[
        1
    ].split(", ")
    for tag in [*tags, "intermediate"]:
        link = soups[TUTORIAL].find(
            "a", string=re.compile(rf"^\s*{re.escape(tag)}\s*$")
        )
        of_tag = soups[link["href"].partition("#")[0]]
        assert tag in of_tag.h1.text
        assert of_tag.select(f"main a[href$='{TUTORIAL}']"), f"{tag} does not lead back"
    watched.get_by_role("link", name=tags[0], exact=True).first.click()
    assert tags[0] in watched.locator("h1").inner_text()
    watched.get_by_role("link", name="Gaussian Mixture Model").last.click()
    assert watched.url.partition("#")[0].endswith(TUTORIAL)
    assert not watched.wrong


def test_everything_is_reached_by_keyboard(watched, served):
    for path in ("index.html", TUTORIAL):
        watched.goto(served + path)
        visible = """[...document.querySelectorAll("a[href], button, summary, input, select")]
            .filter(e => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0 && !e.disabled)"""
        watched.evaluate(f"window.left = new Set({visible})")
        for _ in range(2 * watched.evaluate("left.size + 100")):
            watched.keyboard.press("Tab")
            if watched.evaluate("left.delete(document.activeElement), left.size") == 0:
                break
        unreached = watched.evaluate("[...left].map(e => e.outerHTML.slice(0, 120))")
        assert not unreached, f"{path}: {unreached}"


def test_code_is_copied_and_plumbing_unfolds(watched, served, stored):
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.goto(served + TUTORIAL)
    cell = cell_that_defines("mixture_model", stored.cells)
    watched.locator(".cell_input", has_text="def mixture_model(").locator(
        "button.copybtn"
    ).click()
    assert (
        watched.evaluate("navigator.clipboard.readText()").strip()
        == cell.source.strip()
    )
    folded = watched.locator("details", has_text="def check_data")
    assert not folded.locator("pre").is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()


def test_what_others_see_of_it(site, soups):
    """Feed, description and preview card, with addresses of the published site."""
    base = "https://someone.github.io/mixtures/"
    meta = {
        tag.get("property") or tag.get("name"): tag["content"]
        for tag in soups[TUTORIAL].select("meta[content]")
    }
    assert (
        meta["og:title"] == "Gaussian Mixture Model"
        and meta["og:url"] == base + TUTORIAL
    )
    assert (
        meta["description"] == meta["og:description"]
        and "groups" in meta["description"]
    )
    assert (
        meta["og:image"] == base + "gaussian_mixture_model.png"
        and meta["twitter:card"] == "summary_large_image"
    )
    assert (site / "gaussian_mixture_model.png").read_bytes() == IPYNB.with_suffix(
        ".png"
    ).read_bytes()
    atom = {"atom": "http://www.w3.org/2005/Atom"}
    feed = ET.parse(
        site / soups[TUTORIAL].find("link", type="application/atom+xml")["href"]
    )
    assert [
        link.get("href") for link in feed.findall("atom:entry/atom:link", atom)
    ] == [base + TUTORIAL]
    links = [a["href"] for a in soups[TUTORIAL].select(".launch a")]
    assert any(
        link.startswith("https://mybinder.org/v2/gh/someone/mixtures/HEAD?")
        for link in links
    )
    assert (
        "https://github.com/someone/mixtures/edit/main/gaussian_mixture_model.md"
        in links
    )
