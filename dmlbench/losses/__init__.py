"""The built-in losses: a file each, listed here by spec so that listing imports no torch."""

from dmlbench.hookspecs import LossSpec

# Pairs and triplets
PAIR_LOSSES: tuple[LossSpec, ...] = (
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
        search={"margin": {"low": 0.02, "high": 0.6, "log": True}},
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
            "alpha": {"low": 0.5, "high": 10.0, "log": True},
            "beta": {"low": 10.0, "high": 100.0, "log": True},
            "base": {"low": 0.2, "high": 0.9},
            "epsilon": {"low": 0.02, "high": 0.4},
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
        search={"temperature": {"low": 0.02, "high": 0.5, "log": True}},
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
        summary="Positives inside and negatives outside of a boundary that may be learned",
        reference="Wu, Manmatha, Smola, Krähenbühl, Sampling Matters in Deep Embedding Learning, "
        "ICCV 2017 (arXiv 1706.07567)",
        defaults={
            "margin": 0.2,
            "beta": 1.2,
            "nu": 0.0,
            "learn_beta": False,
            "class_beta": False,
            "mining": "all",
            "cutoff": 0.5,
            "nonzero_loss_cutoff": 1.4,
            "seed": 0,
        },
        search={"margin": {"low": 0.05, "high": 0.5}, "beta": {"low": 0.6, "high": 1.4}},
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
            "l2_weight": [0.0, 0.001, 0.005, 0.02],
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
            "l2_weight": {"low": 0.001, "high": 0.2, "log": True},
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
        defaults={"alpha_degrees": 40.0},
        search={"alpha_degrees": {"low": 20.0, "high": 60.0}},
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
    LossSpec(
        name="cross-batch-memory",
        target="dmlbench.losses.cross_batch_memory:CrossBatchMemoryLoss",
        summary="Another pair loss, between a batch and a queue of earlier embeddings",
        reference="Wang, Zhang, Huang, Scott, Cross-Batch Memory for Embedding Learning, "
        "CVPR 2020 (arXiv 1912.06798)",
        defaults={"loss": "contrastive", "memory_size": 1024, "params": None},
        aliases=("xbm",),
        search={"memory_size": [256, 1024, 4096]},
        family="pair",
    ),
)

# Lists of neighbours, proxies and classifiers
PROXY_LOSSES: tuple[LossSpec, ...] = (
    LossSpec(
        name="proxy-anchor",
        target="dmlbench.losses.proxy_anchor:ProxyAnchorLoss",
        summary="Each proxy pulls its class and pushes the others, the hardest items most",
        reference="Kim, Kim, Cho, Kwak, Proxy Anchor Loss for Deep Metric Learning, CVPR 2020 "
        "(arXiv 2003.13911)",
        defaults={"margin": 0.1, "alpha": 32.0},
        search={
            "margin": {"low": 0.0, "high": 0.4},
            "alpha": {"low": 8.0, "high": 64.0, "log": True},
        },
        family="proxy",
    ),
    LossSpec(
        name="proxy-nca",
        target="dmlbench.losses.proxy_nca:ProxyNCALoss",
        summary="Softmax over the squared distances to one proxy a class, optionally smoothed",
        reference="Movshovitz-Attias, Toshev, Leung, Ioffe, Singh, No Fuss Distance Metric "
        "Learning using Proxies, ICCV 2017 (arXiv 1703.07464)",
        defaults={"softmax_scale": 1.0, "smoothing": 0.0},
        search={
            "softmax_scale": {"low": 1.0, "high": 20.0, "log": True},
            "smoothing": {"low": 0.0, "high": 0.2},
        },
        family="proxy",
    ),
    LossSpec(
        name="norm-softmax",
        target="dmlbench.losses.norm_softmax:NormSoftmaxLoss",
        summary="Softmax over the cosines to one proxy a class, divided by a temperature",
        reference="Zhai, Wu, Classification is a Strong Baseline for Deep Metric Learning, "
        "BMVC 2019 (arXiv 1811.12649)",
        defaults={"temperature": 0.05},
        aliases=("normalised-softmax", "normalized-softmax"),
        search={"temperature": {"low": 0.02, "high": 0.3, "log": True}},
        family="classification",
    ),
    LossSpec(
        name="cross-entropy",
        target="dmlbench.losses.cross_entropy:CrossEntropyLoss",
        summary="Label-smoothed cross-entropy of a linear classifier on the embedding",
        reference="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception "
        "Architecture for Computer Vision, CVPR 2016 (arXiv 1512.00567)",
        defaults={"smoothing": 0.15},
        aliases=("label-smoothed-cross-entropy",),
        search={"smoothing": {"low": 0.0, "high": 0.3}},
        family="classification",
    ),
    LossSpec(
        name="cosface",
        target="dmlbench.losses.cosface:CosFaceLoss",
        summary="Softmax over cosines; the target class must win by a margin in cosine",
        reference="Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, CosFace: Large Margin Cosine Loss "
        "for Deep Face Recognition, CVPR 2018 (arXiv 1801.09414)",
        defaults={"margin": 0.35, "scale": 64.0},
        search={
            "margin": {"low": 0.0, "high": 0.5},
            "scale": {"low": 8.0, "high": 128.0, "log": True},
        },
        family="classification",
    ),
    LossSpec(
        name="arcface",
        target="dmlbench.losses.arcface:ArcFaceLoss",
        summary="Softmax over cosines; the target class must win by a margin in angle",
        reference="Deng, Guo, Xue, Zafeiriou, ArcFace: Additive Angular Margin Loss for Deep "
        "Face Recognition, CVPR 2019 (arXiv 1801.07698)",
        defaults={"margin_degrees": 28.6, "scale": 64.0},
        search={
            "margin_degrees": {"low": 0.0, "high": 40.0},
            "scale": {"low": 8.0, "high": 128.0, "log": True},
        },
        family="classification",
    ),
    LossSpec(
        name="subcenter-arcface",
        target="dmlbench.losses.subcenter_arcface:SubCenterArcFaceLoss",
        summary="ArcFace with several proxies a class, of which an item uses the nearest",
        reference="Deng, Guo, Liu, Gong, Zafeiriou, Sub-center ArcFace: Boosting Face "
        "Recognition by Large-Scale Noisy Web Faces, ECCV 2020",
        defaults={"margin_degrees": 28.6, "scale": 64.0, "sub_centers": 3},
        search={
            "margin_degrees": {"low": 0.0, "high": 40.0},
            "scale": {"low": 8.0, "high": 128.0, "log": True},
        },
        family="classification",
    ),
    LossSpec(
        name="soft-triple",
        target="dmlbench.losses.soft_triple:SoftTripleLoss",
        summary="Softmax over classes of several centres each, an item softly assigned to them",
        reference="Qian, Shang, Sun, Hu, Li, Jin, SoftTriple Loss: Deep Metric Learning Without "
        "Triplet Sampling, ICCV 2019 (arXiv 1909.05235)",
        defaults={"centers_per_class": 10, "scale": 20.0, "gamma": 0.1, "margin": 0.01},
        aliases=("softtriple",),
        search={
            "scale": {"low": 5.0, "high": 50.0, "log": True},
            "gamma": {"low": 0.05, "high": 0.3, "log": True},
            "margin": {"low": 0.0, "high": 0.1},
        },
        family="proxy",
    ),
    LossSpec(
        name="fastap",
        target="dmlbench.losses.fastap:FastAPLoss",
        summary="One minus average precision, ranks read off a soft histogram of distances",
        reference="Cakir, He, Xia, Kulis, Sclaroff, Deep Metric Learning to Rank, CVPR 2019",
        defaults={"num_bins": 10},
        aliases=("fast-ap",),
        search={"num_bins": [5, 10, 20, 40]},
        family="listwise",
    ),
    LossSpec(
        name="histogram",
        target="dmlbench.losses.histogram:HistogramLoss",
        summary="Probability that a negative pair is more similar than a positive one",
        reference="Ustinova, Lempitsky, Learning Deep Embeddings with Histogram Loss, "
        "NeurIPS 2016 (arXiv 1611.00822)",
        defaults={"num_bins": 101},
        search={"num_bins": [51, 101, 201]},
        family="listwise",
    ),
    LossSpec(
        name="smooth-ap",
        target="dmlbench.losses.smooth_ap:SmoothAPLoss",
        summary="One minus average precision with sigmoids for comparisons",
        reference="Brown, Xie, Kalogeiton, Zisserman, Smooth-AP: Smoothing the Path Towards "
        "Large-Scale Image Retrieval, ECCV 2020 (arXiv 2007.12163)",
        defaults={"temperature": 0.01},
        aliases=("smoothap",),
        search={"temperature": {"low": 0.003, "high": 0.1, "log": True}},
        family="listwise",
    ),
    LossSpec(
        name="recall-at-k-surrogate",
        target="dmlbench.losses.recall_at_k_surrogate:RecallAtKSurrogateLoss",
        summary="One minus smooth recall@k over several k; one k makes it precision@k",
        reference="Patel, Tolias, Matas, Recall@k Surrogate Loss with Large Batches and "
        "Similarity Mixup, CVPR 2022 (arXiv 2108.11179)",
        defaults={
            "ks": (1, 2, 4, 8, 16),
            "rank_temperature": 1.0,
            "similarity_temperature": 0.01,
        },
        aliases=("surrogate-recall", "surrogate-precision"),
        search={
            "rank_temperature": {"low": 0.3, "high": 3.0, "log": True},
            "similarity_temperature": {"low": 0.003, "high": 0.1, "log": True},
        },
        family="listwise",
    ),
)

LOSSES: tuple[LossSpec, ...] = PAIR_LOSSES + PROXY_LOSSES
