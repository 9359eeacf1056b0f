"""What ties files and parts together: the verbs, and the life of a workspace.

verbs       classify, evaluate, sweep, train: one function each, for every door
checking    validate every file of a workspace, spend nothing
creation    write a new workspace
demo        the whole pipeline on the shipped samples
status      one screen
"""
