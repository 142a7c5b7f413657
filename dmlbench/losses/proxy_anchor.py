"""Proxy-Anchor: every proxy pulls its class and pushes the others, the hardest ones most.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies


class ProxyAnchorLoss(ProxyLoss):
    """Proxy-Anchor loss.

    mean over classes in the batch of log(1 + Σ_{x of the class} exp(−α (s(x, p) − margin)))
    + mean over all classes of log(1 + Σ_{other x} exp(α (s(x, p) + margin))), s the cosine.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    margin: cosine distance kept on either side, at least 0.
    alpha: scale, above 0; the larger, the more the hardest items count.

    The proxies (C, D) start from a normal distribution of variance 2 / C, as the authors' do.

    Authors' code: equal.

    Kim, Kim, Cho, Kwak, Proxy Anchor Loss for Deep Metric Learning, CVPR 2020 (arXiv 2003.13911).
    """

    name = "proxy-anchor"

    def __init__(
        self, num_classes: int, embedding_dim: int, margin: float = 0.1, alpha: float = 32.0
    ):
        super().__init__(num_classes, embedding_dim)
        self.margin = number(self.name, "margin", margin, ge=0)
        self.alpha = number(self.name, "alpha", alpha, gt=0)
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = cosine_to_proxies(self.proxies, embeddings)  # (C, B): sums run along memory
        return _ProxyAnchor.apply(cosine, labels, self.margin, self.alpha)


class _ProxyAnchor(Function):
    """The loss of the cosines (C, B).

    An item has one proxy of its own, so the pulling half is a matter of B numbers, not of C · B.
    """

    @staticmethod
    def forward(ctx, cosine: Tensor, labels: Tensor, margin: float, alpha: float) -> Tensor:
        classes = cosine.shape[0]
        own = labels.unsqueeze(0)  # (1, B), indexes the rows of cosine
        pull = (margin - cosine.gather(0, own).squeeze(0)) * alpha  # (B,)
        push = torch.add(alpha * margin, cosine, alpha=alpha).scatter_(0, own, -torch.inf)  # (C, B)

        # log(1 + Σ exp(pull)) by class; the shift by the class's largest (or 0) keeps exp finite.
        shift = pull.new_zeros(classes).scatter_reduce_(0, labels, pull, "amax")  # (C,)
        total = (-shift).exp().scatter_add_(0, labels, (pull - shift[labels]).exp())
        pull_term = shift + total.log()  # 0 where a class is absent
        push_term = softplus(torch.logsumexp(push, dim=1), threshold=80)  # (C,), 0 if no other item
        # Not torch.bincount, which reads the largest label.
        present = pull.new_zeros(classes).scatter_(0, labels, 1.0).sum().clamp_min_(1)

        ctx.save_for_backward(pull, push, pull_term, push_term, labels, present)
        ctx.alpha = alpha
        return pull_term.sum() / present + push_term.sum() / classes

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        pull, push, pull_term, push_term, labels, present = ctx.saved_tensors
        pulled = (pull - pull_term[labels]).exp() * (-ctx.alpha * grad / present)  # (B,)
        pushed = (push - push_term.unsqueeze(1)).exp_()  # (C, B), 0 at each item's own proxy
        pushed *= ctx.alpha * grad / len(push)
        pushed.scatter_(0, labels.unsqueeze(0), pulled.unsqueeze(0))
        return pushed, None, None, None
