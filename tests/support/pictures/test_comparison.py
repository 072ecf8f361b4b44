import json

from support.pictures import comparison
from support.runs.recipes import Recipe

import pytest

pytest.importorskip("matplotlib")


def record(folder, name, errors):
    (folder / name).mkdir()
    lines = [{"epoch": 0, "cost": 1.0}]
    lines += [
        {"epoch": i, "cost": 1.0, "iteration": 2 * i, "validation_error": error} for i, error in enumerate(errors, 1)
    ]
    (folder / name / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_seeds_of_a_recipe_share_a_colour_and_other_options_have_another(tmp_path, monkeypatch):
    rows = [("a", ()), ("a-seed-1", ("--seed", "1")), ("a-less", ("--epochs", "0", "--seed", "2")), ("missing", ())]
    recipes = {name: Recipe(name=name, lesson="a", options=options) for name, options in rows}
    recipes["b"] = Recipe(name="b", lesson="b")
    recipes |= {name: Recipe(name=name, lesson="c", options=(name,)) for name in ("c", "c-2")}
    monkeypatch.setattr(comparison, "read_recipes", lambda: recipes)
    for name, errors in (
        ("a", [0.5, 0.25]),
        ("a-seed-1", [0.4, 0.3]),
        ("a-less", [0.6]),
        ("b", [0.5]),
        ("c", []),
        ("c-2", []),
    ):
        record(tmp_path, name, errors)
    drawn = {}
    monkeypatch.setattr(
        comparison, "comparison_figure", lambda lesson, groups, draw=comparison.comparison_figure: drawn.setdefault(
            lesson, draw(lesson, groups)
        )
    )  # fmt: skip
    comparison.draw_comparisons(tmp_path)
    assert [path.name for path in tmp_path.glob("*.png")] == ["a.png"]  # of b and c there is nothing to compare
    one, other, less = drawn["a"].axes[0].get_lines()
    assert one.get_xydata().tolist() == [[1, 50], [2, 25]] and other.get_xydata().tolist() == [[1, 40], [2, 30]]
    assert less.get_xydata().tolist() == [[1, 60]]
    assert one.get_color() == other.get_color() != less.get_color()
    labels = [text.get_text() for text in drawn["a"].axes[0].get_legend().get_texts()]
    assert labels == ["the published recipe, 2 seeds", "--epochs 0, 1 seed"]
