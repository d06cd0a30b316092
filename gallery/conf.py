"""The gallery: Sphinx renders the stored outputs; nothing is executed. `make gallery` builds it."""

import os
import re
import shutil
import subprocess
import zipfile
from operator import methodcaller
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import playwright
import sphinxcontrib.katex
from PIL import Image

here, root = Path(__file__).parent, Path(__file__).parents[1]
shutil.copy(root / "gaussian_mixture_model.png", here)
notebook = nbformat.read(root / "gaussian_mixture_model.ipynb", as_version=4)
for cell in notebook.cells:
    # the label of a fold is the comment that its code begins with
    if "hide-input" in cell.metadata.get("tags", []):
        label = cell.source.partition("\n")[0].removeprefix("# ")
        prompts = dict(code_prompt_show=label, code_prompt_hide=label)
        cell.metadata.setdefault("mystnb", {}).update(prompts)
nbformat.write(notebook, here / "gaussian_mixture_model.ipynb")
run_time = re.search(r"Run time: ([\d.]+ \w+)", nbformat.writes(notebook))[1]

# Where the links to the repository lead: GitHub's workflows say it, and a clone of GitHub's remembers it.
command = ["git", "-C", root, "remote", "get-url", "origin"]
origin = subprocess.run(command, capture_output=True, text=True).stdout
origin = re.search(r"github\.com[:/]([^/]+/[^/]+?)(\.git)?\s*$", origin)
repository = origin[1] if origin else "OWNER/REPOSITORY"
repository = os.environ.get("GITHUB_REPOSITORY", repository)
owner, name = repository.split("/")

project = "Bayesian tutorials"
author = copyright = "the authors of the tutorial"
language = "en"
extensions = [
    "myst_nb",
    "ablog",
    "notfound.extension",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.katex",
    "sphinxext.opengraph",
]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_heading_slug_func = methodcaller("replace", " ", "-")  # as in Jupyter
myst_substitutions = {"run_time": run_time}

# Formulas are typeset here and now, with the style sheet and the fonts that npm's katex 0.16.22 has in dist/.
katex_prerender = True
katex_css_path = "katex.min.css"
sphinxcontrib.katex.NODEJS_BINARY = str(
    Path(playwright.__file__).parent / "driver" / "node"
)
sphinxcontrib.katex.KATEX_DEFAULT_OPTIONS["throwOnError"] = True
# A socket file is there a moment before the server answers; for a port its start is waited for.
server = sphinxcontrib.katex.KaTeXServer
server.start_server_process = server.start_network_socket
# Node.js takes longer to start from a cold disk than the five seconds of the default, and would be left waiting for ever.
sphinxcontrib.katex.STARTUP_TIMEOUT = sphinxcontrib.katex.RENDER_TIMEOUT = 120

html_theme = "pydata_sphinx_theme"
html_title = project
address = os.environ.get("GALLERY_URL", f"https://{owner.lower()}.github.io/{name}")
html_baseurl = address.rstrip("/") + "/"
notfound_urls_prefix = urlsplit(html_baseurl).path
ogp_site_url, ogp_image = html_baseurl, "gaussian_mixture_model.png"
ogp_image_alt = "Three fitted bell curves over a histogram."
ogp_custom_meta_tags = ['<meta name="twitter:card" content="summary_large_image">']
html_favicon = "favicon.svg"
html_static_path = ["gallery.css", "print.js", "katex"]
html_css_files = ["gallery.css"]
html_js_files = ["print.js"]
html_extra_path = [
    f"../gaussian_mixture_model.{suffix}" for suffix in ("md", "ipynb", "png")
]
html_copy_source = False
html_use_index = html_domain_indices = False
templates_path = ["."]
html_sidebars = {
    "**": ["ablog/tagcloud.html", "ablog/categories.html"],
    "gaussian_mixture_model": [],
}
html_theme_options = {
    "disable_search": True,
    "article_header_end": ["launch.html"],
    "secondary_sidebar_items": ["page-toc.html", "ablog/postcard.html"],
    "footer_start": ["copyright.html"],
    "footer_end": [],
}
html_context = {"default_mode": "auto", "repository": repository}

blog_title = project
blog_baseurl = html_baseurl
fontawesome_included = True


def mend(app, page, template, context, doctree):
    """What docutils, MyST-NB and KaTeX write into a page and cannot be told otherwise."""
    picture = Image.open(root / "gaussian_mixture_model.png").reduce(2)  # retina
    for pattern, better in (
        # attributes keep the place free till the figure is there, and shrink with the page, which a style does not
        (r'style="width: (\d+)px; height: (\d+)px;"', r'width="\1" height="\2"'),
        (
            r'src="_images/gaussian_mixture_model.png"',
            rf'\g<0> width="{picture.width}" height="{picture.height}"',
        ),
        # a fold has no other name for screen readers than the text that the others see
        (' aria-label="Toggle hidden content"', ""),
        # what scrolls is reached by keyboard
        ('<span class="katex-display"', r'\g<0> tabindex="0"'),
    ):
        context["body"] = re.sub(pattern, better, context.get("body", ""))


def finish(app, error):
    """Make the figures light, and pack the tutorial with all that it needs into one file."""
    if error:
        return
    # 256 colors, by eye the same, take 1 MB instead of 2.7
    for figure in Path(app.outdir, "_images").glob("*.png"):
        light = Image.open(figure).convert("RGB").quantize(256, dither=0)
        light.save(figure, optimize=True)
    # 1.5 MB that draw the icons which the theme's style sheet has as a font; no setting leaves them out
    Path(app.outdir, "_static", "scripts", "fontawesome.js").write_text("")
    Path(app.outdir, "_static", "webpack-macros.html").unlink()  # a template, no page
    names = "LICENSE", "README.md", "pyproject.toml", "requirements.txt"
    files = [root / name for name in (*names, "pymc3_support.py", "run.py")]
    for pattern in (
        "gaussian_mixture_model.*",
        "mixtures/*.py",
        "mixtures/templates/*",
    ):
        files += root.glob(pattern)
    archive = Path(app.outdir, "gaussian_mixture_model.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            packed.write(file, "gaussian_mixture_model" / file.relative_to(root))


def setup(app):
    app.connect("html-page-context", mend)
    app.connect("build-finished", finish)
