"""The gallery: Sphinx renders the stored outputs; nothing is executed. `make gallery` builds it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import playwright
import sphinxcontrib.katex
from docutils.nodes import image
from PIL import Image
from sphinx.transforms.post_transforms.images import ImageConverter
from sphinx.writers.html5 import HTML5Translator

here, root = Path(__file__).parent, Path(__file__).parents[1]
for suffix in ("ipynb", "png"):
    shutil.copy(root / f"gaussian_mixture_model.{suffix}", here)
notebook = nbformat.read(here / "gaussian_mixture_model.ipynb", as_version=4)


def find(pattern):
    """What `pattern` matches in the notebook's text and printed output."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    texts += [out.text for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "stream"]
    return re.search(pattern, "\n\n".join(texts), flags=re.M)[1]


# Where the links to the repository lead: GitHub's workflows say it, and a clone of GitHub's remembers it.
origin = subprocess.run(["git", "-C", root, "remote", "get-url", "origin"], capture_output=True, text=True).stdout
origin = re.search(r"github\.com[:/]([^/]+/[^/]+?)(\.git)?$", origin.strip())
repository = os.environ.get("GITHUB_REPOSITORY") or (origin[1] if origin else "OWNER/REPOSITORY")
owner, name = repository.split("/")

project = "Bayesian tutorials"
author = copyright = "the authors of the tutorial"
language = "en"
extensions = ["myst_nb", "ablog", "sphinx_copybutton", "sphinx_design", "sphinxcontrib.katex", "sphinxext.opengraph"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "line": find(r"^(A mixture model .*)$"),
    "tags": find(r"^:tags: (.*)$"),
    "run_time": find(r"^Run time: (.*)$"),
}

# Formulas are typeset here and now, with the style sheet and the fonts that npm's katex 0.16.22 has in dist/.
katex_prerender = True
katex_css_path = "katex.min.css"
sphinxcontrib.katex.NODEJS_BINARY = str(Path(playwright.__file__).parent / "driver" / "node")
sphinxcontrib.katex.KATEX_DEFAULT_OPTIONS["throwOnError"] = True

html_theme = "pydata_sphinx_theme"
html_title = project
html_baseurl = os.environ.get("GALLERY_URL", f"https://{owner.lower()}.github.io/{name}").rstrip("/") + "/"
html_favicon = "favicon.svg"
html_static_path = ["gallery.css", "print.js", "katex"]
html_css_files = ["gallery.css"]
html_js_files = ["print.js"]
html_extra_path = [f"../gaussian_mixture_model.{suffix}" for suffix in ("md", "ipynb", "png")]
html_copy_source = False
html_use_index = html_domain_indices = False
templates_path = ["."]
html_sidebars = {"**": ["ablog/tagcloud.html", "ablog/categories.html"], "gaussian_mixture_model": []}
html_theme_options = {
    "disable_search": True,
    "article_header_end": ["launch.html"],
    "secondary_sidebar_items": ["page-toc.html", "ablog/postcard.html"],
    "footer_start": ["copyright.html"],
    "footer_end": [],
}
html_context = {"repository": repository, "default_mode": "auto"}

blog_title = project
blog_baseurl = html_baseurl
fontawesome_included = True

ogp_site_url = html_baseurl
ogp_image = "gaussian_mixture_model.png"
ogp_image_alt = "A histogram with three fitted bell curves, and each cluster's membership probability below."
ogp_social_cards = {"enable": False}
ogp_custom_meta_tags = ['<meta name="twitter:card" content="summary_large_image">']

if os.environ.get("GALLERY_URL"):  # a page that answers for any address cannot have relative links
    extensions += ["notfound.extension"]
    notfound_urls_prefix = "/" + html_baseurl.split("/", 3)[3]


class Figures(ImageConverter):
    """Figures as lossless WebP, with their size in the page, half that of the file (retina); all but the first lazy."""

    conversion_rules = [("image/png", "image/webp")]

    def is_available(self):
        return True

    def convert(self, source, target):
        Image.open(source).save(target, lossless=True, method=6)
        return True

    def handle(self, node):
        width, height = Image.open(Path(self.app.srcdir, node["uri"])).size
        node["width"], node["height"] = str(width // 2), str(height // 2)
        if node is not next(self.document.findall(image)):
            node["loading"] = "lazy"
        super().handle(node)


def size_as_attributes(translator, node):
    """A style of so many pixels would not shrink with the page; attributes do, and keep the place free till then."""
    HTML5Translator.visit_image(translator, node)
    style, attributes = r'style="width: (\d+)px; height: (\d+)px;"', r'width="\1" height="\2"'
    translator.body[-1] = re.sub(style, attributes, translator.body[-1])


def name_by_text(app, page, template, context, doctree):
    """MyST-NB gives its folds a name for screen readers that is not the text that the others see."""
    body = context.get("body", "").replace(' aria-label="Toggle hidden content"', "")
    context["body"] = body.replace('<span class="katex-display">', '<span class="katex-display" tabindex="0">')


def drop_ballast(app, error):
    """The theme's style sheet has the icons as a font already, and the script that draws them weighs 1.5 MB."""
    static = Path(app.outdir, "_static")
    if not error and static.exists():
        (static / "scripts" / "fontawesome.js").write_text("")
        for unused in (*static.rglob("*.map"), static / "webpack-macros.html"):
            unused.unlink()


def setup(app):
    app.add_post_transform(Figures)
    app.add_node(image, override=True, html=(size_as_attributes, HTML5Translator.depart_image))
    app.connect("builder-inited", lambda app: setattr(app.builder, "supported_image_types", ["image/webp"]))
    app.connect("html-page-context", name_by_text)
    app.connect("build-finished", drop_ballast)
