"""deepix weights …: files of networks' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deepix.cli.common import extra, out

app = typer.Typer(no_args_is_help=True, help="Import and inspect the weights of networks.")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A network as the ancestor pickled it.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Turn a pickled network of the ancestor's into a weights file, without running code from it.

    [bold]Example[/]

      deepix weights import "Deepixv1(5,5,6,7)(3,5)_extensive.pt" -o deepixv1.safetensors
    """
    with extra("train"):
        from deepix.training import weights

    network = weights.import_pickle(source)
    weights.save(network, output, overwrite=overwrite, extra={"imported_from": source.name})
    count = sum(parameter.numel() for parameter in network.parameters())
    out.print(f"{source} -> {output}: {json.dumps(network.config)}, {count:,} parameters", markup=False)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A weights file, or the folder of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show which network a weights file is for, its tensors, and what else it says of itself.

    [bold]Example[/]

      deepix weights show deepixv1.safetensors
    """
    with extra("train"):
        from deepix.training import weights

    network = weights.load(file)
    about = weights.metadata(file)
    count = sum(parameter.numel() for parameter in network.parameters())
    tensors = {
        name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
        for name, tensor in network.state_dict().items()
    }
    if as_json:
        print(json.dumps({**about._asdict(), "parameters": count, "tensors": tensors}))
        return
    for name, tensor in tensors.items():
        out.print(f"  {name}: {tensor['dtype']} {tensor['shape']}", markup=False)
    out.print(f"config: {json.dumps(about.config)}", markup=False)
    out.print(f"extra: {json.dumps(about.extra)}", markup=False)
    out.print(f"{len(tensors)} tensors, {count:,} parameters", markup=False)
