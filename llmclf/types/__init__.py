"""The values of llmclf: frozen, plain, and cheap to import.

    conversation   Conversation, Turn, Event, Attachment
    task           Task, Label, Rule, FailureMode, Guideline
    costs          Costs
    dataset        Item, Annotation, Example, Stratum, Design, Dataset; item_hash
    groups         groups_of: which examples hang together
    estimate       Estimate
    evidence       Evidence
    prediction     Prediction, Predictions, Usage, ErrorInfo; is_flagged and said_label: what one comes to
    reasons        Reasons
    judgment       Rubric, Case, Judgment, Bar

Only the standard library is imported here, so that `import llmclf` stays under 0.2 s.
"""

from llmclf.types.conversation import (
    MODALITIES,
    SPEAKERS,
    Attachment,
    Conversation,
    Event,
    EventKind,
    Modality,
    Speaker,
    Turn,
)
from llmclf.types.costs import Costs, OnError
from llmclf.types.dataset import (
    Annotation,
    Dataset,
    Design,
    DesignKind,
    Example,
    Item,
    Source,
    Stratum,
    dataset_of,
    item_hash,
)
from llmclf.types.estimate import Estimate
from llmclf.types.evidence import Evidence
from llmclf.types.groups import groups_of
from llmclf.types.hashing import canonical_json, content_hash
from llmclf.types.judgment import (
    CANNOT_TELL,
    FAILED,
    RECORDED,
    Bar,
    Case,
    Judgment,
    Probe,
    Rubric,
    ScaleKind,
)
from llmclf.types.prediction import (
    USAGE_COUNTS,
    ErrorInfo,
    Prediction,
    Predictions,
    ScoreMethod,
    Usage,
    is_flagged,
    said_label,
)
from llmclf.types.reasons import REASON_COLUMNS, Reasons, ReasonText
from llmclf.types.task import FailureMode, Guideline, Label, Role, Rule, Task, Unit

__all__ = [
    "CANNOT_TELL",
    "FAILED",
    "MODALITIES",
    "SPEAKERS",
    "USAGE_COUNTS",
    "REASON_COLUMNS",
    "RECORDED",
    "Annotation",
    "Attachment",
    "Bar",
    "Case",
    "Conversation",
    "Costs",
    "Dataset",
    "Design",
    "DesignKind",
    "ErrorInfo",
    "Estimate",
    "Event",
    "EventKind",
    "Evidence",
    "Example",
    "FailureMode",
    "Guideline",
    "Item",
    "Judgment",
    "Label",
    "Modality",
    "OnError",
    "Prediction",
    "Predictions",
    "Probe",
    "ReasonText",
    "Reasons",
    "Role",
    "Rubric",
    "Rule",
    "ScaleKind",
    "ScoreMethod",
    "Source",
    "Speaker",
    "Stratum",
    "Task",
    "Turn",
    "Unit",
    "Usage",
    "canonical_json",
    "content_hash",
    "dataset_of",
    "groups_of",
    "is_flagged",
    "item_hash",
    "said_label",
]
