"""Mosaics and the mathematics that everything rests on.

A picture x was pixelated on an area that a grid cuts into cells C_1 … C_n:

    (A x)_k = mean of x over C_k            the cells' values
    A† y    = y_k in every pixel of C_k     the mosaic one sees
    pixelate(x)  = A† A x                   inside the area, x outside
    project(z)   = z + A†(y − A z)          inside the area, the input outside

A†A is an orthogonal projection, so among all pictures that would have given the input, `project`
returns the one nearest to z; the truth is such a picture, hence projecting never increases the
squared error to it.

When a pixelated picture was resized, a pixel on the line between two cells holds a mixture of both
(`Grid.blended`). With C_ik the share of pixel i in cell k and D = diag(Cᵀ1),

    A  = D⁻¹Cᵀ                             means in which a pixel counts by its share
    A† = Aᵀ(AAᵀ)⁻¹ = C(CᵀC)⁻¹D             its pseudo-inverse: AA† = 1, and A†A is an orthogonal projection
    y  = (CᵀΩC)⁻¹CᵀΩp                      the cells' values, fitted to the input p; Ω trusts the tiles' middles
    pixelate(x) = C A x                    the mosaic one sees

and `project` is as above. Where no pixel straddles a line, C is 0 or 1, A† = C and y = A p as above.

Cells may show something else than means (`Mosaic.cell_value`); `deepix.mosaic.shown` has what then takes the place of A
and of the projection.

Foreign pixels (`Mosaic.foreign`: what was drawn over or beside a mosaic afterwards) are in no cell: A, A† and y are
those of the pixels that can be seen, and what is foreign comes back as it is.

Arrays are pictures (H, W) or (H, W, C), x to the right and y down, in whatever unit they come; integer
pictures have cells rounded to integers, and the functions here know by which rule.
"""

from deepix.mosaic.agreement import consistency, fit_blending, noise
from deepix.mosaic.blended import BlendedCells
from deepix.mosaic.cell_value import CELL_VALUES, MEAN, CellValue, CellValueKind
from deepix.mosaic.cells import Array, Cells
from deepix.mosaic.grid import Grid
from deepix.mosaic.integers import Rounding, white
from deepix.mosaic.projection import cell_values, pixelate, project, project_box
from deepix.mosaic.quantization import quantize
from deepix.mosaic.random import random_mosaics
from deepix.mosaic.shown import light, sampled, shown
from deepix.mosaic.types import Mosaic, check, foreign_pixels, known, unknown

__all__ = [
    "CELL_VALUES",
    "MEAN",
    "Array",
    "BlendedCells",
    "CellValue",
    "CellValueKind",
    "Cells",
    "Grid",
    "Mosaic",
    "Rounding",
    "cell_values",
    "check",
    "consistency",
    "fit_blending",
    "foreign_pixels",
    "known",
    "light",
    "noise",
    "pixelate",
    "project",
    "project_box",
    "quantize",
    "random_mosaics",
    "sampled",
    "shown",
    "unknown",
    "white",
]
