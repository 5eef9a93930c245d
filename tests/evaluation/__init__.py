"""Accuracy on recordings of people: one module a question, driven through the same chains as the worker.

`python -m tests.evaluation NAME DIR --json FILE --report FILE.html`. DIR holds folders of .npz as DATASETS.md describes
them; it may hold other people and only some of the folders. Estimators were tuned on the subjects of one half (see
`recordings.is_for_tuning`); a figure with a bar is of the other half, or of everybody where nothing was tuned.
"""
