"""The service: answers over HTTP, the page in which people label, and pages of clustered reasons.

app          which address leads where
guard        what is true of every request and answer: host, origin, headers
auth         tokens and cookies
classifying  POST /v1/classify
health       GET /healthz
reasons      pages of clustered reasons, and GET /v1/reasons/anomalies
labelling    links, the page, and what it asks for
views        what of a case may go out
pages        the page's HTML
answers      bodies in, JSON and errors out
running      a socket, uvicorn, links
"""
