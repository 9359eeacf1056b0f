"""Conversations and labels: read, import, check, sample, label, split.

read        JSON Lines to conversations, examples and datasets; strict, every bad line listed
write       the way back: whole files or none
importers   chat messages, CSV, SQL, Parquet, DataFrames
check       everything that can be wrong, in one report
sample      unlabelled conversations to label, with the chance each had
label_plan  how many of them a recall takes
labels      label sheets: out to a spreadsheet and back
split       parts between which nothing leaks
attachments recordings and pictures beside a conversations file
rendering   a dataset's words as screenshots or speech
problems    what is wrong with a line, and rejects files
loading     a dataset file to a dataset

Import from these modules; nothing is loaded here, so that reading a file does not load the rest.
"""
