"""The tested weights of a finished trial, kept beside its embeddings as safetensors.

Kept is what embeds an image: the model (without a frozen backbone, which its own weights give
again) and the combiner. Weights of losses, such as proxies, are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dmlbench.errors import VerificationError
from dmlbench.files import write_atomically

MODULES = ("model", "combiner")
_EMBEDDINGS = "embeddings_sha256"

State = Mapping[str, Mapping[str, Tensor]]


def keep_weights(path: Path, state: State, embeddings_sha256: str) -> None:
    """Write the tested state of a trial.

    state: of each module, as `TrainingModules.modules` names them.
    embeddings_sha256: of the test embeddings that it gave, which tell one trial from another.
    """
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name in MODULES
        for key, value in state[name].items()
    }
    content = safetensors.torch.save(tensors, {_EMBEDDINGS: embeddings_sha256})
    write_atomically(path, lambda file: file.write(content))


def kept_weights(path: Path, embeddings_sha256: str) -> dict[str, dict[str, Tensor]]:
    """The state that `keep_weights` wrote, by module, on the CPU.

    Raises `VerificationError` where the file is damaged, or of a trial that gave other embeddings.
    """
    state: dict[str, dict[str, Tensor]] = {name: {} for name in MODULES}
    try:
        with safe_open(path, "pt") as file:
            given = (file.metadata() or {}).get(_EMBEDDINGS)
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                name, _, rest = key.partition(".")
                state[name][rest] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError) as error:
        raise VerificationError(f"{path} does not hold the weights of a trial: {error}.") from error
    if given != embeddings_sha256:
        raise VerificationError(
            f"{path} holds weights of another training: the embeddings that they gave are not "
            f"those of the entry."
        )
    return state
