"""The specs of the losses over lists of neighbours, proxies and classifiers."""

from dmlbench.hookspecs import LossSpec

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
        summary="Softmax over the squared distances to one proxy per class, optionally smoothed",
        reference="Movshovitz-Attias, Toshev, Leung, Ioffe, Singh, No Fuss Distance Metric "
        "Learning using Proxies, ICCV 2017 (arXiv 1703.07464)",
        defaults={"softmax_scale": 1.0, "smoothing": 0.0},
        search={
            "softmax_scale": {"low": 1.0, "high": 50.0, "log": True},
            "smoothing": {"low": 0.0, "high": 0.2},
        },
        family="proxy",
    ),
    LossSpec(
        name="norm-softmax",
        target="dmlbench.losses.norm_softmax:NormSoftmaxLoss",
        summary="Softmax over the cosines to one proxy per class, divided by a temperature",
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
        summary="Label-smoothed cross-entropy of a linear classifier on embedding or features",
        reference="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception "
        "Architecture for Computer Vision, CVPR 2016 (arXiv 1512.00567)",
        defaults={"smoothing": 0.15, "on": "embedding"},
        aliases=("label-smoothed-cross-entropy",),
        search={"smoothing": {"low": 0.0, "high": 0.3}, "on": ["embedding", "unnormalised"]},
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
            "margin": {"low": 0.0, "high": 0.8},
            "scale": {"low": 8.0, "high": 256.0, "log": True},
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
            "scale": {"low": 8.0, "high": 256.0, "log": True},
        },
        family="classification",
    ),
    LossSpec(
        name="subcenter-arcface",
        target="dmlbench.losses.subcenter_arcface:SubCenterArcFaceLoss",
        summary="ArcFace with several proxies per class, of which an item uses the nearest",
        reference="Deng, Guo, Liu, Gong, Zafeiriou, Sub-center ArcFace: Boosting Face "
        "Recognition by Large-Scale Noisy Web Faces, ECCV 2020",
        defaults={"margin_degrees": 28.6, "scale": 64.0, "sub_centers": 3},
        search={
            "margin_degrees": {"low": 0.0, "high": 40.0},
            "scale": {"low": 8.0, "high": 256.0, "log": True},
            "sub_centers": [1, 2, 3, 5],
        },
        family="classification",
    ),
    LossSpec(
        name="soft-triple",
        target="dmlbench.losses.soft_triple:SoftTripleLoss",
        summary="Softmax over classes of several centres each, an item softly assigned to them",
        reference="Qian, Shang, Sun, Hu, Li, Jin, SoftTriple Loss: Deep Metric Learning Without "
        "Triplet Sampling, ICCV 2019 (arXiv 1909.05235)",
        defaults={
            "centers_per_class": 10,
            "scale": 20.0,
            "gamma": 0.1,
            "margin": 0.01,
            "tau": 0.2,
        },
        aliases=("softtriple",),
        search={
            "centers_per_class": [2, 5, 10, 20],
            "scale": {"low": 5.0, "high": 150.0, "log": True},
            "gamma": {"low": 0.05, "high": 0.3, "log": True},
            "margin": {"low": 0.0, "high": 0.8},
            "tau": {"low": 0.0, "high": 0.5},
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
        search={"num_bins": {"low": 5, "high": 100, "log": True}},
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
