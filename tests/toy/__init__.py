"""A stage of training that is none of Deepix's: what docs/training.md says, done. `test_stages.py` puts it in place."""
