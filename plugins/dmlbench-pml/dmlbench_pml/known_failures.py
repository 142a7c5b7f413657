"""Where losses of pytorch-metric-learning miss dmlbench's contract, and why.

By class name: the checks of `dmlbench.testing` that fail, each with the reason. A test holds the
list against the installed version.
"""

from __future__ import annotations

from collections.abc import Mapping

_EQUAL_SIZES = "takes only batches whose classes are of one size and stand together"
_NOT_REGISTERED = "keeps a tensor that is no buffer, and moves it when it is called"

KNOWN_FAILURES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(
        ["AngularLoss", "LargeMarginSoftmaxLoss", "MarginLoss", "ProxyNCALoss", "SphereFaceLoss"],
        {"moves-with-to": _NOT_REGISTERED},
    ),
    "CircleLoss": {"finite-differences": "its weights are constants for the gradient"},
    "CrossBatchMemory": {
        "moves-with-to": _NOT_REGISTERED,
        "finite-differences": "the batch's own copies in the memory carry no gradient",
    },
    "DynamicSoftMarginLoss": {
        "bfloat16-autocast": "adds bfloat16 distances to a float32 histogram",
        "moves-with-to": _NOT_REGISTERED,
    },
    "HistogramLoss": {"all-equal": "a similarity rounded to above 1 falls behind its last bin"},
    "InstanceLoss": {"batch-order": "takes the number of an item's class for a place in the batch"},
    "NCALoss": {
        "no-positives": "the mean over no anchors is NaN",
        "two-items": "the mean over no anchors is NaN",
    },
    "NPairsLoss": {"batch-order": "the first pair of each class makes the tuple"},
    "SmoothAPLoss": dict.fromkeys(
        [
            "scalar",
            "gradient",
            "batch-order",
            "float32",
            "float64",
            "bfloat16-autocast",
            "lengths",
            "non-contiguous",
            "without-gradient",
            "inputs-unchanged",
            "random-state",
            "moves-with-to",
            "state-dict",
            "finite-differences",
            "smoke-training",
        ],
        _EQUAL_SIZES,
    ),
    "TupletMarginLoss": {"all-equal": "the angle has no slope where a cosine is 1"},
}
