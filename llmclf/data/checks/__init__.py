"""What `check` looks at, one module for each kind of trouble.

findings     Finding: one kind of trouble, with the ids
content      empty conversations, blank turns, damaged text, one speaker, broken order
attachments  recordings and pictures that are missing, changed or of no use
times        impossible times, times going back, mixed zones
duplicates   the same conversation twice, word for word or nearly
drift        what changed since an earlier dataset
labels       examples that do not fit the conversations, the task or the design
leakage      what stands on both sides of a split
"""
