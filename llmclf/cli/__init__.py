"""The command: a door without logic of its own. Results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the `llmclf` command and exits: 0 done, 1 mend something, 2 the answer is no, 130 interrupted."""
    sys.exit(run(arguments))


_INTERRUPTED = 130


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command with `arguments` (default: the process's own)."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("llmclf: interrupted; run the same command again to go on", file=sys.stderr)
        return _INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    from typer import Abort, BadParameter, Exit

    from llmclf.cli.app import app
    from llmclf.cli.common import tell
    from llmclf.errors import LlmclfError

    usage_error: type[Exception] = BadParameter.__bases__[0]  # click's, which some releases of typer carry inside

    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except Exit as stop:
        code = stop.exit_code
    except usage_error as error:
        error.show()  # type: ignore[attr-defined]
        return 1
    except LlmclfError as error:
        tell(f"llmclf: {error}")
        return error.exit_code
    except Abort:  # Ctrl-C, or no more input, where a question was asked
        print("\nllmclf: nothing was done; the options answer the questions, too (--help)", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone (`| head`): nothing is wrong
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"llmclf: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    if code == _INTERRUPTED:
        raise KeyboardInterrupt  # typer makes an exit code of it, without a word
    return code if isinstance(code, int) else 0
