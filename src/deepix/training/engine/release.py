"""From a run to the released model: scored, exported, compared, and put in place only if it is better.

    RUN or FILE ─ stage.assess ─▶ better than what is released? ─ export, compare ─▶ NAME.safetensors, .md, .png, .onnx

The ONNX file is replaced last, since its metadata hold the score that the next one has to beat: what is interrupted
before is done again.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from deepix import files
from deepix.errors import DeepixError
from deepix.training import weights
from deepix.training.engine import card, export, plots, record
from deepix.training.engine.history import history
from deepix.training.engine.log import log
from deepix.training.engine.recipes import Recipe
from deepix.training.engine.stage import Stage

RELEASED = Path(__file__).parents[2] / "weights"
"""Where the package keeps its models."""
CARDS = Path("docs") / "models"
"""Where the models' cards lie in a checkout."""


def release(
    recipe: Recipe,
    folder: Path,
    source: Path | None = None,
    released: Path | None = None,
    cards: Path | None = None,
    device: str = "auto",
) -> bool:
    """Put weights in the place of those that are released, if they validate better. Findings are logged.

    Parameters
    ----------
    recipe : which model, and how it is validated
    folder : of the pictures, for the validation
    source : a run's folder, whose best weights are taken, or a weights file; default: the recipe's run
    released : folder of the models; default: the package's
    cards : folder of their cards; default: the checkout's
    device : for the validation, as `choose_device` has it

    Returns
    -------
    Whether they were; if the recipe has no run, or the weights are not better, nothing is changed

    Raises
    ------
    InputError : the weights, the released model or the validation pictures cannot be read
    OutputError : a file cannot be written
    DeepixError : the export differs from PyTorch's result; the released model is outdated (`Stage.outdated`), and these
        weights fall short, too
    """
    stage, name = recipe.stage, recipe.name
    released, cards = released or RELEASED, cards or CARDS
    model_file, trained_file = released / f"{name}.onnx", released / f"{name}{weights.SUFFIX}"
    outdated = stage.outdated(export.about(model_file), recipe) if model_file.exists() else None
    if source is None and not (recipe.run / weights.BEST).exists():
        if outdated is None or not trained_file.exists():
            log.info(f"{recipe.run}: no run with weights; {name} stays as it is")
            return False
        source = trained_file
    source = source or recipe.run
    network, trained = export.load(source, stage), history(source)
    assessment = stage.assess(network, recipe, folder, device)
    reached, decides = assessment.scores, stage.criterion.score
    if outdated is None:
        before = _before(recipe, released, str(reached["validation_sha256"]), folder, device)
    elif fallen := stage.fallen(reached):
        raise DeepixError(f"{name}: {outdated}, and {source} falls short: {', '.join(fallen)}; train it on")
    else:
        log.info(f"{name}: {outdated}; {source} takes its place")
        before = None
    line = f"{name}: {stage.headline(reached)}"
    if before is not None and not stage.criterion.better(reached[decides], before):
        log.info(f"{line}, not better than the {before:.3f} that is released: nothing is changed")
        return False
    about = export.describe(stage, network, name, assessment, trained)
    model = export.to_onnx(network, about)
    difference = stage.compare(export.runner(model), network)
    beside = {part: export.companion(of, part) for part, of in stage.companions(network).items()}
    for place in (released, cards):
        files.make_folder(place)
    extra = {"scores": reached, **assessment.further, "training": trained}
    weights.save(network, trained_file, overwrite=True, extra=extra)
    curve = _draw(source, stage, cards / f"{name}.png")
    text = card.write(recipe, about, stage.card(recipe, about, network), len(model), curve)
    files.write_bytes(cards / f"{name}.md", text.encode(), overwrite=True)
    for part, content in beside.items():
        files.write_bytes(released / f"{part}.onnx", content, overwrite=True)
    files.write_bytes(model_file, model, overwrite=True)
    if outdated is not None:
        was = "in the place of an outdated one"
    else:
        was = "nothing was released before" if before is None else f"released before: {before:.3f}"
    log.info(f"{line}, {was}; ONNX Runtime agrees to {stage.agreement(difference)}: {model_file} is new")
    return True


def _before(recipe: Recipe, released: Path, identity: str, folder: Path, device: str) -> float | None:
    """Return the released model's score on these pictures, computed anew if it has one on others; None: no model."""
    model, trained = released / f"{recipe.name}.onnx", released / f"{recipe.name}{weights.SUFFIX}"
    decides = recipe.stage.criterion.score
    if model.exists():
        scores = export.about(model)["scores"]
        if scores.get("validation_sha256") == identity:
            return float(scores[decides])
    if trained.exists():
        network = export.load(trained, recipe.stage)
        return float(recipe.stage.assess(network, recipe, folder, device).scores[decides])
    return None


def _draw(source: Path, stage: Stage, path: Path) -> bool:
    """Draw the curves of a run's folder in few colours, which makes a small file; return whether there is a picture."""
    if not (plots.can_draw() and (source / record.LOG).exists()):
        path.unlink(missing_ok=True)  # of the model before
        return False
    plots.curves({source.resolve().name: record.read_log(source, stage)}, stage, path)
    with Image.open(path) as drawn:
        plots.write_small(drawn, path)
    return True
