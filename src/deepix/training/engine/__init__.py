"""The engine: runs any stage of training, and knows none.

settings.py     what a run depends on, each option declared once     stage.py    what a stage brings
run.py          begin a run, resume it                               task.py     a stage as Lightning trains it
batches.py      which examples a step and a validation see           callbacks.py  the clock, averaged weights
record.py       the log, the best weights, sample sheets             plots.py    curves
description.py  what run.json says                                   optimizers.py, muon.py
recipes.py      from recipes/*.toml to a run                         history.py  the runs that weights come from
release.py      from a run to the released model and its card        export.py   ONNX, compared with PyTorch
card.py         what all model cards share                           log.py      where messages go
"""
