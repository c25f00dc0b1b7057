"""Station 8: third-party models, exported to ONNX, as scorers; see ``scorer.py``."""
