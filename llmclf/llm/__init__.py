"""One `Model` over every vendor, local weights or a simulator: a request becomes a response, once, within budget.

model       Model, Request, Answer, Response: the values
prices      what a token costs, offline
budget      the hard cap: reserve before sending, settle after
caps        caps that the processes of one store share: by month, day, hour, and of sweeps
routes/     litellm (vendors), local (llama.cpp in this process), sim (a simulated vendor)
weights     weights of local models: where they are, how to get them
loop        the runtime's own event loop; the same request under way is sent once
calls       one call: reserve, record, send, retry, settle
runtime     owns store, budget, cache and clients of one process
"""

from llmclf.llm.model import Answer, Message, Model, Output, Request, Response, Subject
from llmclf.llm.prices import Price
from llmclf.llm.runtime import Runtime

__all__ = ["Answer", "Message", "Model", "Output", "Price", "Request", "Response", "Runtime", "Subject"]
