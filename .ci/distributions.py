"""Builds the sdist, and from it the wheel, into an empty folder: ``python .ci/distributions.py FOLDER``.

It fails unless the sdist has every file of the tree but those that are for the repository alone, the wheel every file
of the package, and the wheel is the same whether it is built from the sdist or from the tree.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOR_THE_REPOSITORY = (".ci/", ".github/", ".gitignore", ".readthedocs.yaml")
MADE_BY_THE_BUILD = ("PKG-INFO", "setup.cfg", "gdregress.egg-info/")


def tree():
    """Give the names of the files that are tracked, or would be."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in names.split("\0") if name})


def copy(names, folder):
    """Copy them: in the tree itself, the build would take up what an earlier one has left."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


def build(source, folder, *options):
    """Build in an environment of its own, and give what was built."""
    subprocess.run([sys.executable, "-m", "build", "--quiet", *options, "--outdir", folder, source], check=True)
    return sorted(Path(folder).iterdir())


def of_sdist(path):
    """Give the contents of its files by name."""
    with tarfile.open(path) as archive:
        files = [member for member in archive if member.isfile()]
        return {member.name.partition("/")[2]: archive.extractfile(member).read() for member in files}


def of_wheel(path):
    """Give the contents of its files by name, less RECORD, which lists them."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def differences(what, found, expected):
    """Name each file that one has and the other has not, or has otherwise."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            fault = "lacks" if name not in found else "has too" if name not in expected else "has another"
            yield f"{what} {fault} {name}"


def main(folder):
    """Build and compare."""
    names = tree()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "tree"
        copy(names, source)
        sdist, wheel = sorted(build(source, folder), key=lambda path: path.suffix == ".whl")
        [direct] = build(source, Path(work) / "direct", "--wheel")
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", sdist, wheel], check=True)
        contents = {name: (ROOT / name).read_bytes() for name in names}
        shipped = {name: file for name, file in of_sdist(sdist).items() if not name.startswith(MADE_BY_THE_BUILD)}
        public = {name: file for name, file in contents.items() if not name.startswith(FOR_THE_REPOSITORY)}
        package = {name: file for name, file in of_wheel(wheel).items() if ".dist-info/" not in name}
        modules = {name: file for name, file in contents.items() if name.startswith("gdregress/")}
        faults = [
            *differences("the sdist", shipped, public),
            *differences("the wheel", package, modules),
            *differences("the wheel of the sdist, beside that of the tree,", of_wheel(wheel), of_wheel(direct)),
        ]
    print(*faults or [f"{sdist.name} has {len(shipped)} files of the tree, {wheel.name} {len(package)}"], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
