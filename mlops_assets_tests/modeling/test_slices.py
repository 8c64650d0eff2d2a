import polars as pl

from mlops_assets.modeling.slices import cut_slices


def cut(frame: pl.DataFrame, *columns: str) -> list[tuple[str, str, list[int]]]:
    return [(s.column, s.value, s.rows.tolist()) for s in cut_slices(frame, list(columns))]


def test_each_value_is_a_slice_missing_ones_too() -> None:
    frame = pl.DataFrame({"genre": ["rock", "jazz", None, "rock"], "alone": [True] * 3 + [None]})
    found = cut(frame, "genre", "alone")
    assert found[0] == ("genre", "rock", [0, 3])
    assert sorted(found[1:3]) == [("genre", "(missing)", [2]), ("genre", "jazz", [1])]
    assert found[3:] == [("alone", "true", [0, 1, 2]), ("alone", "(missing)", [3])]


def test_a_slice_column_need_not_be_a_feature() -> None:
    assert cut(pl.DataFrame({"__slice_city": ["x"]}), "city") == [("city", "x", [0])]


def test_few_numbers_are_values_and_many_are_cut_at_quartiles() -> None:
    frame = pl.DataFrame({"few": [1.0, 2.5] * 20, "many": [float(i) for i in range(40)]})
    assert [value for _, value, _ in cut(frame, "few")] == ["1", "2.5"]
    found = cut(frame, "many")
    assert sorted(row for _, _, rows in found for row in rows) == list(range(40))
    assert {value for _, value, _ in found} == {"0 to 10", "10 to 20", "20 to 29", "29 to 39"}


def test_numbers_that_differ_late_are_told_apart() -> None:
    ids = [1234567.0, 1234568.0]
    seconds = [1.7e9 + i for i in range(40)]
    frame = pl.DataFrame({"few": ids * 20, "many": seconds})
    assert [value for _, value, _ in cut(frame, "few")] == ["1234567", "1234568"]
    found = cut(frame, "many")
    assert [len(rows) for _, _, rows in found] == [11, 10, 10, 9]
    assert found[0][1] == "1700000000 to 1700000010"


def test_slices_of_a_size_come_in_the_order_of_their_names() -> None:
    values = [f"v{i:02d}" for i in range(60)]
    found = cut(pl.DataFrame({"x": values[::-1] * 2}), "x")
    assert [value for _, value, _ in found] == [*values[:50], "(other values)"]


def test_rare_values_are_one_slice() -> None:
    found = cut(pl.DataFrame({"x": ["often"] * 5 + [f"v{i}" for i in range(60)]}), "x")
    assert found[0] == ("x", "often", [0, 1, 2, 3, 4])
    assert found[-1][1] == "(other values)"
    assert len(found[-1][2]) == 11
    assert sum(len(rows) for _, _, rows in found) == 65
