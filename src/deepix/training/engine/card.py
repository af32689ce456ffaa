"""Model cards: what all of them say, around what the stage says of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from deepix.training import weights

if TYPE_CHECKING:
    from deepix.training.engine.recipes import Recipe

CURVES = "![Training and validation]({name}.png)"


class Card(NamedTuple):
    """What a stage says of a model.

    Attributes
    ----------
    facts : rows of the table at the top, after the files and the parameters: what, and its value
    scores : lines of the section on scores
    sections : further sections after it: title and lines
    seen : what the column on examples seen is called
    runs : of each run in the history: what it trained on, and how many of these it saw
    data : lines before the table of the data, if any
    choices : what the validation set decided besides the choice of the weights, if anything
    """

    facts: Sequence[tuple[str, str]]
    scores: Sequence[str]
    sections: Sequence[tuple[str, Sequence[str]]]
    seen: str
    runs: Sequence[tuple[str, int]]
    data: Sequence[str] = ()
    choices: str = ""


def write(recipe: Recipe, about: Mapping[str, Any], card: Card, size: int, curve: bool) -> str:
    """Return a model's card, in Markdown.

    Parameters
    ----------
    recipe : for what is said in words
    about : the model's metadata
    card : what the stage says
    size : of the ONNX file, in bytes
    curve : whether there is a picture of it beside the card
    """
    name = recipe.name
    kept = f"src/deepix/weights/{name}{weights.SUFFIX}"
    lines = [
        f"# Model card: {name}",
        "",
        recipe.purpose,
        "",
        "| | |",
        "| --- | --- |",
        f"| for use | `src/deepix/weights/{name}.onnx`, float32, {size / 1e6:.1f} MB |",
        f"| for training | `{kept}`, float32 |",
        f"| parameters | {about['parameters']:,} |",
        *(f"| {what} | {value} |" for what, value in card.facts),
        "",
        "## Scores",
        "",
        *card.scores,
        "",
        "Printed by:",
        "",
        f"    deepix weights score {kept} recipes/{name}.toml --data ../shared/data",
        "",
        *(line for title, content in card.sections for line in (f"## {title}", "", *content, "")),
        "## Training",
        "",
        *_runs(recipe, about["training"], card),
        *(["", CURVES.format(name=name)] if curve else []),
        "",
        "## Data",
        "",
        *card.data,
        *table(
            ("pictures", "what they are", "terms"),
            [(f"`{source.file}`", source.what, source.terms) for source in recipe.sources],
        ),
        "",
        *_elsewhere(recipe, about["training"]),
        f"Validated with {recipe.validation_what}. Validation pictures chose the best weights{card.choices}; none was "
        "trained on.",
        "",
        *_closing(recipe),
    ]
    return "\n".join(lines)


def _runs(recipe: Recipe, history: Sequence[Mapping[str, Any]], card: Card) -> list[str]:
    """Return the lines on the runs."""
    rows = [
        (run["from"], what, f"{count:,.0f}", _spent(run), run["batch"], f"{run['optimizer']}, {run['lr']:g}",
         run.get("device", "unknown"))
        for run, (what, count) in zip(history, card.runs, strict=True)
    ]  # fmt: skip
    return [
        *table(("from", "with", card.seen, "minutes", "steps of", "optimizer", "device"), rows),
        "",
        "Minutes and steps are those until the best weights, of the budget where it is known. To go on: "
        f"`make train-{recipe.name}`, then `make release`; the recipe is `recipes/{recipe.name}.toml`.",
    ]


def _spent(run: Mapping[str, Any]) -> str:
    if run.get("budget_minutes"):
        return f"{run['minutes']:g} of {run['budget_minutes']:g}"
    if run.get("budget_steps"):
        return f"{run['minutes']:g} ({run['steps']:,} of {run['budget_steps']:,} steps)"
    return f"{run['minutes']:g}"


def _elsewhere(recipe: Recipe, history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which runs trained on files that are not the recipe's: the table above may not be all of their pictures."""
    others = list(dict.fromkeys(run["data"] for run in history if run["data"] != recipe.data.name))
    if not others:
        return []
    files = ", ".join(f"`{other}`" for other in others)
    return [
        f"The table is that of the recipe, which makes `{recipe.data.name}` of it. Some of the runs above trained on "
        f"another selection: {files}.",
        "",
    ]


def _closing(recipe: Recipe) -> list[str]:
    """Return the last lines: limits and licence."""
    return [
        "## Limits",
        "",
        *(f"- {limit}" for limit in recipe.limits),
        "",
        "## Licence",
        "",
        "The files are part of Deepix and come under its licence, MIT. The pictures they were trained on have terms of "
        "their own, above; they are not in the files. Anyone who needs weights that are free of such questions should "
        "train on other pictures.",
        "",
    ]


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table in Markdown."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(str, cells))} |"

    return [line(head), line(["---"] * len(head)), *map(line, rows)]
