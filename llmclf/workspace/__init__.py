"""What ties files and parts together: the verbs, and the life of a workspace.

verbs       classify, evaluate, sweep, train: one function each, for every door
checking    validate every file of a workspace, spend nothing
thresholds  a classifier's threshold from a run, into its file with where it comes from
label_plans how many labels a recall takes, by a run or by assumptions
creation    write a new workspace
demo        the whole pipeline on the shipped samples
status      one screen
verdicts    the wrong verdicts of a run as a list
showing     one verdict with all that is known of it
corrections a label put right, a hard negative kept
explaining  one verdict in plain words; sureness: how often one like it is right; verdict_pages: as HTML
"""
