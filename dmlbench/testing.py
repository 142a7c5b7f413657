"""The conformance kit: do a plugin's losses and combiners keep the contract?

    >>> from dmlbench.losses.triplet import TripletLoss
    >>> [result.name for result in check_loss(TripletLoss) if result.outcome == "failed"]
    []

On the command line: ``dmlbench plugin check NAME``.
"""

from dmlbench.conformance.combiner_checks import COMBINER_CHECKS
from dmlbench.conformance.component import check_combiner, check_loss
from dmlbench.conformance.kit import CheckResult
from dmlbench.conformance.loss_checks import LOSS_CHECKS

__all__ = ["COMBINER_CHECKS", "LOSS_CHECKS", "CheckResult", "check_combiner", "check_loss"]
