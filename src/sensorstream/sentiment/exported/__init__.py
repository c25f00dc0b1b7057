"""Station 8: models of others, exported to ONNX, as scorers; see ``scorer.py``."""
