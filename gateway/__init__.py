"""The daemon beside the bed and the command `carebed`.

Bytes come in through `drivers`, become facts in `gateway.core`'s vocabulary, pass the pipeline, the signal worker,
`edge_rules` and `gateway.store`, and leave through `gateway.upstream`. Nothing in here may import what lies further
down that walk; the contract in pyproject.toml checks it.
"""
