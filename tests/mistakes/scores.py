"""Made-up scores of a sound model and of a worse one."""

SCORES = {"bbox": {"AP": 0.85, "AP75": 0.96}, "segm": {"AP": 0.8, "AP75": 0.95}}
WORSE = {"bbox": {"AP": 0.7, "AP75": 0.8}, "segm": {"AP": 0.123, "AP75": 0.3}}
