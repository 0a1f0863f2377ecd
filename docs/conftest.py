"""The doctests of the pages are in their Markdown; scripts of the site are run by Sphinx."""

collect_ignore_glob = ["*.py"]
