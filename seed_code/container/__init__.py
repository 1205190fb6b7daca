"""The image that SageMaker runs: one module per verb, ``python -m container <verb>``.

=========== ============== ==========================================================
verb        run as         does
=========== ============== ==========================================================
`prepare`   processing job raw files -> split Parquet files, schema and report
`train`     training job   split Parquet files -> ``model.onnx`` and ``model.json``
`evaluate`  processing job model and test rows -> ``evaluation.json``, plots, verdict
`serve`     endpoint       model -> HTTP answers
=========== ============== ==========================================================

Each module has ``main(paths)``; :mod:`container.__main__` finds it, and turns what it raises into
SageMaker's failure message and exit code. Machine learning lives in :mod:`mlsystem`: the modules
here only know where SageMaker puts files.
"""
