"""CustomResourceDefinitions, made from the models and from the rules that an API server can check alone.

Pure but for `__main__`, which writes them out. It must not decide what is right: `rules` says it for the API server,
`mgmt.translate.check` for everybody else, and a test holds their verdicts together (M-69).
"""
