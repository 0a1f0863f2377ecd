"""How the site shows figures, animations, formulas and parameters: without a script or a file of anybody else's."""

from docutils.nodes import SkipNode, doctest_block, field_list, literal_block, math_block, strong, term
from docutils.utils.math.latex2mathml import tex2mathml
from matplotlib import pyplot as plt
from matplotlib.animation import Animation
from matplotlib.rcsetup import cycler
from sphinx.addnodes import desc_content
from sphinx_gallery.scrapers import figure_rst

from gdregress.displays.drawing import CYCLE

STYLE = {
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.figsize": (7, 4),
    "savefig.dpi": 100,
}
"""What figures look like, at the size at which a page shows them."""


def set_style(gallery_conf, script):
    """Give each page of the gallery the same colours and sizes."""
    plt.rcdefaults()
    plt.rcParams.update(STYLE)


def show_animations(block, variables, gallery_conf):
    """Show each new animation of a block as a GIF."""
    paths = []
    for name, animation in variables["example_globals"].items():
        if isinstance(animation, Animation) and name in block.content:
            path = next(variables["image_path_iterator"]).removesuffix("png") + "gif"
            animation.save(path, writer="pillow")
            plt.close(animation._fig)
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"])


def show_formula(translator, node):
    """Write a formula as MathML."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, math_block)))
    raise SkipNode


def colour_doctests(app, doctree):
    """Colour what is a doctest, and nothing else that names no language."""
    for block in doctree.findall(lambda node: isinstance(node, literal_block | doctest_block)):
        if block.rawsource.startswith(">>> "):
            block["language"] = "pycon"


def name_parameters(app, doctree):
    """Give each parameter and fitted attribute of a class its name as an id, for links to lead to."""
    for content in doctree.findall(desc_content):
        if content.parent["objtype"] == "class":
            for fields in (node for node in content if isinstance(node, field_list)):
                for entry in fields.findall(term):
                    entry["ids"] += [name.astext() for name in entry.findall(strong)]


def setup(app):
    """Tell Sphinx of these."""
    app.add_html_math_renderer("mathml", (show_formula, None), (show_formula, None))
    app.connect("doctree-read", colour_doctests)
    app.connect("doctree-read", name_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
