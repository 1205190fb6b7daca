"""Data preparation: raw CSV or Parquet files in, split and typed Parquet files out.

====================== =======================================================================
:mod:`.files`          which files of a folder are data
:mod:`.csv_source`     CSV files, parsed by the engine
:mod:`.delimited`      CSV as Python reads it: delimiter, header, and what is wrong in which line
:mod:`.parquet_source` Parquet files
:mod:`.staging`        the files of either format as one table of text
:mod:`.columns`        what each column is: the rules of inference
:mod:`.labels`         the target
:mod:`.split`          which side a row falls on
:mod:`.typed`          rows of text become rows of numbers, categories and labels
:mod:`.sides`          duplicates go, each side is written, with schema and report
:mod:`.preparation`    the steps in order; all is published, or nothing
:mod:`.engine`         DuckDB within a budget of memory
:mod:`.functions`      functions of DuckDB that Ibis lacks
:mod:`.wording`        names and values in messages
====================== =======================================================================

The raw files are parsed once, into Parquet; every later step is a streaming pass over that, so the
data may be larger than memory.
"""

from mlsystem.data.preparation import prepare

__all__ = ["prepare"]
