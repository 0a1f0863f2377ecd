"""What Sphinx is told to build the site: ``python -m sphinx -W --keep-going -b html docs build/docs``."""

import sys
from pathlib import Path

import gdregress

sys.path.insert(0, str(Path(__file__).parent))  # for the extension `rendering`

project = "gdregress"
author = "The gdregress developers"
release = gdregress.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "myst_parser",
    "numpydoc",
    "rendering",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery", "benchmarks"]  # what is in the second is included by a page
templates_path = ["_templates"]
default_role = "literal"
highlight_language = "none"
smartquotes_action = "De"  # no curly quotes: the HTML view links to a parameter by the text of its docstring
autodoc_typehints = "none"
myst_heading_anchors = 3
numpydoc_show_class_members = False

extlinks = {"parameter": ("generated/gdregress.GradientDescentRegressor.html#%s", "%s")}

html_theme = "pydata_sphinx_theme"
html_title = "gdregress"
html_copy_source = False
html_math_renderer = "mathml"
html_sidebars = {page: [] for page in ("index", "start", "benchmarks", "changelog")}
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": []}
html_static_path = ["_static"]
html_css_files = ["site.css"]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("gdregress",),
    "image_scrapers": ("rendering.show_animations", "matplotlib"),
    "reset_modules": ("rendering.set_style",),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}
