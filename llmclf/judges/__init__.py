"""A rubric applied by a model: from a case to a judgment.

base       what every judge is: a rubric, a bar, a fingerprint, one way to ask
llm        a rubric, a prompt file and a model
panel      several judges of one rubric, by majority
recorded   judgments that were made elsewhere
loading    from judges/NAME.toml to a judge
status     whether this very fingerprint is calibrated
wording    what a model is told, and the case as data
probes     the same case shown in another way
answer     the answer, read strictly
"""

from llmclf.judges.base import Judge
from llmclf.judges.llm import LlmJudge
from llmclf.judges.loading import load_judge, make_judge, rubric_of
from llmclf.judges.panel import PanelJudge, majority
from llmclf.judges.recorded import RecordedJudge, Recording, read_recorded, read_recording
from llmclf.judges.status import UNCALIBRATED, CalibrationStatus, read_status, write_status

__all__ = [
    "UNCALIBRATED",
    "CalibrationStatus",
    "Judge",
    "LlmJudge",
    "PanelJudge",
    "RecordedJudge",
    "Recording",
    "load_judge",
    "majority",
    "make_judge",
    "read_recorded",
    "read_recording",
    "read_status",
    "rubric_of",
    "write_status",
]
