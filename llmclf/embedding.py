"""Texts to vectors, offline: the static word vectors that ship inside the wordllama wheel.

Only the two data files of the wheel are used, not its code: `WordLlama.load()` looks for the
tokenizer in a folder that the wheel does not have and then asks the network, and importing the
package sets up the root logger. `tests/test_embedding.py` holds both to the same vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.errors import MissingPieceError

FloatMatrix = npt.NDArray[np.float32]

DIMENSIONS = 256
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class StaticEmbedder:
    """Mean of one fixed vector for each token, scaled to length one. Word order is not seen.

    Use `static_embedder()`, which loads the files once. Safe to use from many threads; a text has
    the same vector alone and in a batch.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        # The file holds float16, which NumPy is slow to add up: half of the time of a text went there.
        self._table: FloatMatrix = load_file(folder / _WEIGHTS)["embedding.weight"].astype(np.float32)
        self._tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def name(self) -> str:
        """Package, version and weights: vectors of equal names can be compared."""
        return f"wordllama-{version('wordllama')}-l2_supercat-{DIMENSIONS}"

    def embed(self, texts: Iterable[str]) -> FloatMatrix:
        """One row for each text, shape (n, 256), of length 1; zeros where the text holds no token."""
        chosen = texts if isinstance(texts, Sequence) else list(texts)
        rows = np.zeros((len(chosen), DIMENSIONS), np.float32)
        for row, text in zip(rows, chosen, strict=True):
            self._embed_into(row, text)
        return rows

    def _embed_into(self, row: FloatMatrix, text: str) -> None:
        # One call for each text: `encode_batch` starts threads that a later fork can't survive.
        # Lone surrogates, which JSON can carry, are no text to the tokenizer.
        clean = text.encode("utf-8", "replace").decode("utf-8").strip()
        ids = self._tokenizer.encode(clean, add_special_tokens=False).ids if clean else []
        if not ids:
            return
        np.add.reduce(self._table[ids], axis=0, out=row)
        row /= len(ids)
        length = float(np.sqrt((row * row).sum()))
        row *= 1 / length if length > 0 else 0


@functools.cache
def static_embedder() -> StaticEmbedder:
    """The embedder of the installed wordllama wheel, loaded once (about 0.1 s, 40 MB). No network.

    Raises MissingPieceError where the wheel or one of its two files is absent.
    """
    spec = find_spec("wordllama")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    missing = [name for name in (_WEIGHTS, _TOKENIZER) if folder is None or not (folder / name).is_file()]
    if folder is None or missing:
        raise MissingPieceError(
            "the static word vectors are not there",
            where="wordllama",
            got=missing,
            fix="pip install 'wordllama==0.4.0.post1'",
        )
    return StaticEmbedder(folder)


def embed(texts: Iterable[str]) -> FloatMatrix:
    """One unit vector for each text, shape (n, 256), float32; zeros for an empty text.

    >>> embed(["connect me with a person", ""]).shape
    (2, 256)
    """
    return static_embedder().embed(texts)
