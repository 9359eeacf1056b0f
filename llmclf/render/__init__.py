"""What a model or a person sees: conversations as text, results as tables and pages.

conversation   a conversation, or the part of it one may see, as numbered lines
prompt         text files with {{placeholders}}, filled in one pass
provenance     what the file beside an optimized prompt says of its origin
redaction      personal data out, before sending and before storing
tables         figures for a terminal
rates          shares as short texts
pages          one file that works offline, for reports and verdicts
"""

from llmclf.render.conversation import Transcript, Window, transcript, visible_turns
from llmclf.render.prompt import Prompt, escaped, load_prompt

__all__ = ["Prompt", "Transcript", "Window", "escaped", "load_prompt", "transcript", "visible_turns"]
