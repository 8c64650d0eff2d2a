from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.sources import csv_structure
from mlops_assets.data.sources.csv_structure import CsvStructure, read_structure
from mlops_assets.errors import SourceError


def read(content: bytes | str, folder: Path, separator: str = ",") -> CsvStructure:
    file = folder / "visits.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_structure(file, name="visits.csv", separator=separator)


@pytest.mark.parametrize(
    ("content", "n_blank_lines"),
    [
        pytest.param("a,b\n1,2\n", 0, id="plain"),
        pytest.param("a,b\n1,2", 0, id="no_newline_at_the_end"),
        pytest.param("a,b\r\n1,2\r\n\r\n", 1, id="carriage_returns_and_a_blank_line"),
        pytest.param("\ufeffa,b\n1,2\n", 0, id="byte_order_mark"),
        pytest.param('"a","b"\n"x, y\n""z""",2\n', 0, id="quoted_separators_newlines_and_quotes"),
        pytest.param("a,b\n1,2\n\n3,4\n\n", 2, id="blank_lines"),
    ],
)
def test_a_file_that_can_be_read(content: str, n_blank_lines: int, tmp_path: Path) -> None:
    assert read(content, tmp_path) == CsvStructure(["a", "b"], n_blank_lines)


def test_a_blank_line_of_a_single_column_is_a_missing_value(tmp_path: Path) -> None:
    assert read("a\n1\n\n2\n", tmp_path) == CsvStructure(["a"], 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "visits.csv is empty", id="empty"),
        pytest.param("\n\n", "the first line is blank", id="blank_lines_only"),
        pytest.param("a,b\n", "visits.csv has a header and no rows", id="header_only"),
        pytest.param("a,b", "visits.csv has a header and no rows", id="header_without_newline"),
        pytest.param("a,b,a\n1,2,3\n", "names columns twice: a; rename", id="duplicate_header"),
        pytest.param(",b\n1,2\n", "column 1 of 2 has no name", id="a_column_without_name"),
        pytest.param("a;b\n1;2\n", 'set source.separator: ";"', id="semicolons"),
        pytest.param("a\tb\n1\t2\n", r'set source.separator: "\\t"', id="tabs"),
        pytest.param("a,b\n1,2\n3\n", "2 fields, but line 3 has 1", id="a_short_row"),
        pytest.param("a,b\n1,2,\n", "the header has 2 fields, but line 2 has 3", id="a_long_row"),
        pytest.param('a,b\n"x\ny",1\n2\n', "but line 4 has 1", id="lines_within_quotes_count"),
        pytest.param("a,b\n" + "1\n" * 9, r"line 6 has 1 and 4 more", id="many_short_rows"),
        pytest.param('a,b\n1,2\n3,"4\n5,6\n', "line 3 is never closed", id="a_lost_quote"),
        pytest.param('a,b\n5" disk,2\n3" x,4\n', "line 2 has a quote inside", id="a_quote_inside"),
        pytest.param("a,b\r1,2\r", "lines end with CR only", id="old_line_ends"),
        pytest.param(
            b"a,b\n1,2\ncaf\xe9,2\n", "not UTF-8: line 3, byte 11 of the file", id="latin_1"
        ),
        pytest.param(b"caf\xe9,b\n1,2\n", "not UTF-8: line 1, byte 3", id="latin_1_in_the_header"),
        pytest.param("a,b\n1,2\n".encode("utf-16"), "is UTF-16; save it as UTF-8", id="utf_16"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_line_and_remedy(
    content: bytes | str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        read(content, tmp_path)
    assert str(refused.value).startswith("visits.csv")


def test_a_separator_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source.separator: found '→'"):
        read("a→b\n", tmp_path, "→")


@settings(deadline=None, max_examples=60)
@given(
    content=st.text(alphabet='ab,"\né', max_size=40),
    block_bytes=st.integers(1, 7),
)
def test_the_size_of_blocks_does_not_matter(
    content: str, block_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def outcome(size: int) -> object:
        with pytest.MonkeyPatch.context() as settings_of_module:
            settings_of_module.setattr(csv_structure, "_BLOCK_BYTES", size)
            try:
                return read(f"a,b\n{content}", folder)
            except SourceError as error:
                return str(error)

    folder = tmp_path_factory.mktemp("blocks")
    assert outcome(block_bytes) == outcome(1_000)
