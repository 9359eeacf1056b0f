"""Ways to a model. A route turns a request into the body it sends and brings one answer back.

base      what a route is
litellm   vendors, by litellm
local     llama.cpp in this process
sim       a simulated vendor that ships with llmclf
"""
