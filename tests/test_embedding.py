"""Texts to vectors: offline, the same for a text wherever it stands."""

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import llmclf.embedding
from llmclf.embedding import DIMENSIONS, StaticEmbedder, embed, static_embedder
from llmclf.errors import MissingPieceError

ROOT = Path(__file__).parents[1]
TEXTS = ["Can I talk to a person, please?", "No.", "", "   ", "I'd like to speak to somebody. " * 50, "ça va? 😀"]


def test_shape_and_length() -> None:
    """One row for each text, of length one; zeros where there is no text."""
    vectors = embed(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0, 0, 1, 1], abs=1e-5)
    assert embed([]).shape == (0, DIMENSIONS)


def test_like_texts_are_closer() -> None:
    """Two ways to ask for a person are closer than one of them and the weather."""
    one, other, weather = embed(["let me talk to a human agent", "connect me with a person", "it is raining today"])
    assert one @ other > one @ weather + 0.1


def test_same_vectors_as_the_package() -> None:
    """Reading the wheel's two files gives what the package's own loader gives, which leaves logging as it was not."""
    script = """
        import sys, numpy as np
        from pathlib import Path
        import wordllama
        texts = [text for text in sys.argv[1:] if text.strip()]
        loaded = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
        theirs = loaded.embed([text.strip() for text in texts], norm=True)
        from llmclf.embedding import embed
        assert np.abs(theirs - embed(texts)).max() < 1e-5
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), *TEXTS], check=True, cwd=ROOT)


def test_no_network_and_no_side_effects() -> None:
    """With sockets blocked and no cache folder it works, and the root logger is left alone."""
    script = """
        import logging, os, socket, sys
        def blocked(*args, **kwargs):
            raise AssertionError("network used")
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = blocked
        os.environ["HOME"] = os.environ["HF_HOME"] = "/nonexistent"
        from llmclf.embedding import embed
        assert "safetensors" not in sys.modules and "tokenizers" not in sys.modules, "must be imported late"
        assert embed(["hello"]).shape == (1, 256)
        assert "wordllama" not in sys.modules and not logging.getLogger().handlers
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=ROOT)
    assert logging.getLogger().level == logging.WARNING


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=40), max_size=5))
def test_a_text_has_one_vector(texts: list[str]) -> None:
    """Any text, lone surrogates too, has bit for bit the same vector alone and in a batch."""
    batch = embed(texts)
    assert np.isfinite(batch).all()
    for text, row in zip(texts, batch, strict=True):
        assert np.array_equal(embed([text])[0], row)


def test_the_name_tells_the_weights() -> None:
    """The name carries package version and weights, for files that depend on them."""
    assert static_embedder().name == "wordllama-0.4.0.post1-l2_supercat-256"
    assert isinstance(static_embedder(), StaticEmbedder)
    assert static_embedder() is static_embedder()


def test_missing_wheel_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error names it and the command that installs it."""
    monkeypatch.setattr(llmclf.embedding, "find_spec", lambda name: None)
    with pytest.raises(MissingPieceError, match="pip install"):
        static_embedder.__wrapped__()


def test_nothing_is_written_into_the_wheel() -> None:
    """The trap of the wrong tokenizer folder is not mended by writing into site-packages."""
    import importlib.util

    spec = importlib.util.find_spec("wordllama")
    assert spec is not None and spec.origin is not None
    embed(["hello"])
    assert not (Path(spec.origin).parent / "tokenizer").exists()
