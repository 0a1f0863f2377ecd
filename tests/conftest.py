"""What the tests of the command line share: files written, commands run, what they print."""

import json
import re

import pytest

from gdregress.__main__ import main


@pytest.fixture
def write(tmp_path):
    """Write a file, text or bytes, and give its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def succeed(capsys):
    """Run to success, and give what was printed."""

    def succeed(*arguments):
        assert main(list(arguments)) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return succeed


@pytest.fixture
def document(succeed):
    """Run to success with --json, and give the document."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    def document(*arguments):
        return json.loads(succeed(*arguments, "--json"), parse_constant=refuse)

    return document


@pytest.fixture
def fail(capsys):
    """Run to failure, and give the sentence."""

    def fail(*arguments):
        assert main(list(arguments)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"gdregress: error: .+\n", err)
        return err.removeprefix("gdregress: error: ").rstrip("\n")

    return fail
