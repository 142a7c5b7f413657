"""The specs of the losses over pairs and triplets."""

from dmlbench.hookspecs import LossSpec

_WITHIN_A_BATCH: tuple[LossSpec, ...] = (
    LossSpec(
        name="contrastive",
        target="dmlbench.losses.contrastive:ContrastiveLoss",
        summary="Positives closer than one margin, negatives farther than another",
        reference="Hadsell, Chopra, LeCun, Dimensionality Reduction by Learning an Invariant "
        "Mapping, CVPR 2006",
        defaults={"pos_margin": 0.0, "neg_margin": 1.0},
        search={"pos_margin": {"low": 0.0, "high": 0.6}, "neg_margin": {"low": 0.4, "high": 1.4}},
        family="pair",
    ),
    LossSpec(
        name="triplet",
        target="dmlbench.losses.triplet:TripletLoss",
        summary="Positives closer than negatives by a margin: all, hard, semi-hard or batch-hard",
        reference="Schroff, Kalenichenko, Philbin, FaceNet: A Unified Embedding for Face "
        "Recognition and Clustering, CVPR 2015 (arXiv 1503.03832)",
        defaults={"margin": None, "mining": "all", "squared": False, "mining_margin": None},
        search={
            "margin": {"low": 0.02, "high": 1.0, "log": True},
            "mining": ["all", "semi-hard", "batch-hard"],
            "mining_margin": {
                "choices": [None, 0.05, 0.1, 0.2],
                "when": {"mining": ["all", "semi-hard"]},
            },
            "squared": [False, True],
        },
        family="triplet",
    ),
    LossSpec(
        name="multi-similarity",
        target="dmlbench.losses.multi_similarity:MultiSimilarityLoss",
        summary="Soft weights for hard pairs, after a mining step of its own",
        reference="Wang, Han, Huang, Dong, Scott, Multi-Similarity Loss with General Pair "
        "Weighting for Deep Metric Learning, CVPR 2019 (arXiv 1904.06627)",
        defaults={"alpha": 2.0, "beta": 50.0, "base": 0.5, "mining": True, "epsilon": 0.1},
        aliases=("ms",),
        search={
            "alpha": {"low": 0.5, "high": 25.0, "log": True},
            "beta": {"low": 10.0, "high": 200.0, "log": True},
            "base": {"low": 0.2, "high": 0.9},
            "mining": [True, False],
            "epsilon": {"low": 0.02, "high": 0.8, "when": {"mining": [True]}},
        },
        family="pair",
    ),
    LossSpec(
        name="binomial-deviance",
        target="dmlbench.losses.binomial_deviance:BinomialDevianceLoss",
        summary="A logistic loss on the cosine of every pair, negatives weighing more",
        reference="Yi, Lei, Li, Deep Metric Learning for Practical Person Re-Identification, "
        "ICPR 2014 (arXiv 1407.4979)",
        defaults={"alpha": 25.0, "positive_alpha": 2.0, "margin": 0.5},
        search={
            "alpha": {"low": 5.0, "high": 60.0, "log": True},
            "positive_alpha": {"low": 0.5, "high": 8.0, "log": True},
            "margin": {"low": 0.2, "high": 0.8},
        },
        family="pair",
    ),
    LossSpec(
        name="nt-xent",
        target="dmlbench.losses.nt_xent:NTXentLoss",
        summary="Each positive pair against all negatives of its anchor, in one softmax",
        reference="Chen, Kornblith, Norouzi, Hinton, A Simple Framework for Contrastive Learning "
        "of Visual Representations, ICML 2020 (arXiv 2002.05709)",
        defaults={"temperature": 0.07},
        aliases=("infonce",),
        search={"temperature": {"low": 0.0001, "high": 0.5, "log": True}},
        family="pair",
    ),
    LossSpec(
        name="supcon",
        target="dmlbench.losses.supcon:SupConLoss",
        summary="All positives of an anchor share a softmax over everything else",
        reference="Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan, "
        "Supervised Contrastive Learning, NeurIPS 2020 (arXiv 2004.11362)",
        defaults={"temperature": 0.1},
        search={"temperature": {"low": 0.02, "high": 0.5, "log": True}},
        family="pair",
    ),
    LossSpec(
        name="nca",
        target="dmlbench.losses.nca:NCALoss",
        summary="The chance that a random neighbour is of the same class",
        reference="Goldberger, Roweis, Hinton, Salakhutdinov, Neighbourhood Components Analysis, "
        "NIPS 2004",
        defaults={"softmax_scale": 1.0},
        search={"softmax_scale": {"low": 1.0, "high": 50.0, "log": True}},
        family="pair",
    ),
    LossSpec(
        name="margin",
        target="dmlbench.losses.margin:MarginLoss",
        learns=True,
        summary="Positives inside and negatives outside of a learned boundary, sampled by distance",
        reference="Wu, Manmatha, Smola, Krähenbühl, Sampling Matters in Deep Embedding Learning, "
        "ICCV 2017 (arXiv 1706.07567)",
        defaults={
            "margin": 0.2,
            "beta": 1.2,
            "nu": 0.0,
            "learn_beta": True,
            "class_beta": True,
            "beta_lr": 0.0005,
            "mining": "distance-weighted",
            "cutoff": 0.5,
            "nonzero_loss_cutoff": 1.4,
            "seed": 0,
        },
        search={
            "margin": {"low": 0.05, "high": 0.5},
            "beta": {"low": 0.6, "high": 1.4},
            "mining": ["distance-weighted", "all"],
            "learn_beta": [True, False],
            "class_beta": {"choices": [True, False], "when": {"learn_beta": [True]}},
            "beta_lr": {"low": 0.0001, "high": 0.1, "log": True, "when": {"learn_beta": [True]}},
        },
        loss_lr_when={"learn_beta": [True], "beta_lr": [None]},
        family="triplet",
    ),
    LossSpec(
        name="circle",
        target="dmlbench.losses.circle:CircleLoss",
        summary="Pairs far from their optimum weigh more, on a circular decision boundary",
        reference="Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei, Circle Loss: A Unified Perspective "
        "of Pair Similarity Optimization, CVPR 2020 (arXiv 2002.10857)",
        defaults={"m": 0.4, "gamma": 80.0},
        search={"m": {"low": 0.1, "high": 0.6}, "gamma": {"low": 16.0, "high": 256.0, "log": True}},
        family="pair",
    ),
    LossSpec(
        name="snr",
        target="dmlbench.losses.snr:SNRContrastiveLoss",
        summary="Contrastive on the variance of a difference over the anchor's variance",
        reference="Yuan, Deng, Tang, Tang, Chen, Signal-to-Noise Ratio: A Robust Distance Metric "
        "for Deep Metric Learning, CVPR 2019 (arXiv 1904.02616)",
        defaults={"pos_margin": 0.0, "neg_margin": 1.0},
        search={"pos_margin": {"low": 0.0, "high": 0.5}, "neg_margin": {"low": 0.2, "high": 1.5}},
        family="pair",
    ),
    LossSpec(
        name="lifted-structure",
        target="dmlbench.losses.lifted_structure:LiftedStructureLoss",
        summary="Soft extremes of an anchor's distances to positives and negatives",
        reference="Hermans, Beyer, Leibe, In Defense of the Triplet Loss for Person "
        "Re-Identification, 2017 (arXiv 1703.07737)",
        defaults={"neg_margin": 1.0, "pos_margin": 0.0, "scale": None, "l2_weight": 0.0},
        search={
            "neg_margin": {"low": 0.5, "high": 2.0},
            "l2_weight": {"choices": [0.0, 0.001, 0.005, 0.02], "when": {"scale": [None]}},
            "scale": [None, 4.0, 8.0, 16.0, 32.0],
        },
        family="pair",
    ),
    LossSpec(
        name="n-pairs",
        target="dmlbench.losses.n_pairs:NPairsLoss",
        summary="One positive pair per class, each against the positives of all other classes",
        reference="Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective, "
        "NIPS 2016",
        defaults={"scale": None, "l2_weight": 0.02},
        search={
            "l2_weight": {"low": 0.001, "high": 0.2, "log": True, "when": {"scale": [None]}},
            "scale": [None, 8.0, 16.0, 32.0, 64.0],
        },
        family="pair",
    ),
    LossSpec(
        name="angular",
        target="dmlbench.losses.angular:AngularLoss",
        summary="The angle at the negative of every triplet stays under a bound",
        reference="Wang, Zhou, Wen, Liu, Lin, Deep Metric Learning with Angular Loss, ICCV 2017 "
        "(arXiv 1708.01682)",
        defaults={"alpha_degrees": 40.0, "n_pairs": False, "weight": 2.0, "l2_weight": 0.02},
        search={
            "alpha_degrees": {"low": 20.0, "high": 60.0},
            "n_pairs": [False, True],
            "weight": {"low": 0.5, "high": 8.0, "log": True, "when": {"n_pairs": [True]}},
        },
        family="triplet",
    ),
    LossSpec(
        name="tuplet-margin",
        target="dmlbench.losses.tuplet_margin:TupletMarginLoss",
        summary="A softmax over cosines, the positive's angle slackened by a margin",
        reference="Yu, Tao, Deep Metric Learning with Tuplet Margin Loss, ICCV 2019",
        defaults={"margin_degrees": 5.73, "scale": 64.0},
        search={
            "margin_degrees": {"low": 0.0, "high": 15.0},
            "scale": {"low": 16.0, "high": 128.0, "log": True},
        },
        family="pair",
    ),
)
# Angular needs products within the memory, n-pairs draws its pairs from one batch.
_WRAPPED = (
    LossSpec(
        name="cosine-contrastive",
        target="dmlbench.losses.cross_batch_memory:CosineContrastive",
        summary="Contrastive on cosines, summed over the pairs of an anchor",
        defaults={"margin": 0.5},
    ),
    *(spec for spec in _WITHIN_A_BATCH if spec.name not in ("angular", "n-pairs")),
)

PAIR_LOSSES: tuple[LossSpec, ...] = (
    *_WITHIN_A_BATCH,
    LossSpec(
        name="cross-batch-memory",
        target="dmlbench.losses.cross_batch_memory:CrossBatchMemoryLoss",
        summary="A pair loss within a batch, and between it and a queue of earlier embeddings",
        reference="Wang, Zhang, Huang, Scott, Cross-Batch Memory for Embedding Learning, "
        "CVPR 2020 (arXiv 1912.06798)",
        defaults={
            "loss": "cosine-contrastive",
            "memory_size": 8192,
            "start": 200,
            "weight": 1.0,
            "batch_loss": True,
            "params": None,
        },
        aliases=("xbm",),
        search={
            "loss": {
                "choices": ["cosine-contrastive", "contrastive", "triplet", "multi-similarity"],
                "when": {"params": [None]},
            },
            "memory_size": [512, 2048, 8192],
            "start": [0, 100, 200, 1000],
            "weight": {"low": 0.1, "high": 10.0, "log": True},
        },
        family="pair",
        wraps=_WRAPPED,
    ),
)
