"""The built-in combiners: a file each, listed here by spec so that listing imports no torch."""

from dmlbench.hookspecs import CombinerSpec

_ENSEMBLE = (
    "Zabihzadeh, Alitbi, Mousavirad, Ensemble of Loss Functions to Improve Generalizability of "
    "Deep Metric Learning methods, Multimedia Tools and Applications 2023 (arXiv 2107.01130)"
)
_SELF_WEIGHTING = {"prior": None, "penalty": 1e4, "rescale": "mean"}
_DIVERSITY = {"diversity": {"low": 0.01, "high": 0.1, "log": True}}

COMBINERS: tuple[CombinerSpec, ...] = (
    CombinerSpec(
        name="sum",
        target="dmlbench.combiners.fixed:EqualSum",
        summary="Sum of the losses on one embedding, all weights 1/M",
    ),
    CombinerSpec(
        name="fixed",
        target="dmlbench.combiners.fixed:FixedWeights",
        summary="Weighted sum of the losses on one embedding, weights given by the user",
        defaults={"weights": None},
    ),
    CombinerSpec(
        name="equalised",
        target="dmlbench.combiners.equalised:EqualisedSum",
        summary="Sum of the losses on one embedding, their gradients brought to one size",
    ),
    CombinerSpec(
        name="wel",
        target="dmlbench.combiners.wel:WeightedEnsemble",
        learns=True,
        summary="Self-weighting ensemble on one embedding: weights learned end to end",
        reference=_ENSEMBLE,
        defaults=_SELF_WEIGHTING,
    ),
    CombinerSpec(
        name="wedl",
        target="dmlbench.combiners.wedl:DiverseEnsemble",
        learns=True,
        summary="Diverse ensemble: one head per loss, weights learned, heads pushed apart",
        reference=_ENSEMBLE,
        defaults={**_SELF_WEIGHTING, "diversity": 0.05},
        search=_DIVERSITY,
        aliases=("learned",),
        heads="per-loss",
    ),
    CombinerSpec(
        name="wedl-c",
        target="dmlbench.combiners.wedl_c:CompressedEnsemble",
        learns=True,
        auxiliary=True,
        summary="Diverse ensemble compressed to the dimension of one loss by a small network",
        reference=_ENSEMBLE,
        defaults={**_SELF_WEIGHTING, "diversity": 0.05, "hidden_dim": None, "compressor": "narrow"},
        search=_DIVERSITY,
        heads="per-loss",
        widens=False,
        widens_with={"compressor": "authors"},
    ),
    CombinerSpec(
        name="uncertainty",
        target="dmlbench.combiners.uncertainty:UncertaintyWeighting",
        learns=True,
        summary="Weights learned as homoscedastic uncertainties, on one embedding",
        reference="Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses "
        "for Scene Geometry and Semantics, CVPR 2018 (arXiv 1705.07115)",
    ),
    CombinerSpec(
        name="dwa",
        target="dmlbench.combiners.dynamic_average:DynamicWeightAverage",
        summary="Dynamic weight averaging: losses that fall slowly gain weight",
        reference="Liu, Johns, Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019 "
        "(arXiv 1803.10704)",
        defaults={"temperature": 2.0},
        search={"temperature": {"low": 0.5, "high": 8.0, "log": True}},
    ),
    CombinerSpec(
        name="rlw",
        target="dmlbench.combiners.random_weighting:RandomWeighting",
        summary="Random loss weighting: new weights for every batch",
        reference="Lin, Ye, Zhang, Tsang, Reasonable Effectiveness of Random Weighting: A Litmus "
        "Test for Multi-Task Learning, TMLR 2022 (arXiv 2111.10603)",
    ),
    CombinerSpec(
        name="gradnorm",
        target="dmlbench.combiners.gradnorm:GradNorm",
        learns=True,
        summary="Weights that keep the losses' gradient norms in proportion",
        reference="Chen, Badrinarayanan, Lee, Rabinovich, GradNorm: Gradient Normalization for "
        "Adaptive Loss Balancing in Deep Multitask Networks, ICML 2018 (arXiv 1711.02257)",
        defaults={"asymmetry": 1.5},
        search={"asymmetry": {"low": 0.0, "high": 3.0}},
    ),
    CombinerSpec(
        name="pcgrad",
        target="dmlbench.combiners.pcgrad:PCGrad",
        summary="Gradient surgery: each gradient gives up what conflicts with another",
        reference="Yu, Kumar, Gupta, Levine, Hausman, Finn, Gradient Surgery for Multi-Task "
        "Learning, NeurIPS 2020 (arXiv 2001.06782)",
        defaults={"at": "parameters"},
    ),
    CombinerSpec(
        name="mgda-ub",
        target="dmlbench.combiners.mgda:MgdaUb",
        summary="The min-norm convex combination of the losses' gradients at the embedding",
        reference="Sener, Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS "
        "2018 (arXiv 1810.04650)",
        defaults={"normalise": "none"},
    ),
)
