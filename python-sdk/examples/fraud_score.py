"""Scores payments with a scikit-learn model, in an environment of its own: this Python needs no scikit-learn.

.venv/bin/python python-sdk/examples/fraud_score.py
"""

from __future__ import annotations

import random

import udfleet
from udfleet import DataTypes, Environment, FunctionContext, ScalarFunction, udf

DOUBLE = DataTypes.DOUBLE()


class FraudScore(ScalarFunction):
    """How likely a payment is a fraud, from its amount, the hour, and its distance from the last one."""

    def open(self, function_context: FunctionContext):
        """Trains the model once per interpreter; in earnest it would be read from an archive of the environment."""
        import numpy
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        draw = numpy.random.default_rng(7)
        honest = numpy.column_stack([draw.gamma(2, 30, 500), draw.normal(14, 3, 500), draw.gamma(1, 5, 500)])
        stolen = numpy.column_stack([draw.gamma(4, 200, 100), draw.normal(3, 2, 100), draw.gamma(3, 200, 100)])
        labels = [0] * len(honest) + [1] * len(stolen)
        self.model = make_pipeline(StandardScaler(), LogisticRegression()).fit(numpy.vstack([honest, stolen]), labels)
        self.scores = function_context.get_metric_group().histogram("scores")

    def eval(self, amount, hour, distance):
        """Whole columns at once."""
        import numpy
        import pandas

        scores = self.model.predict_proba(numpy.column_stack([amount, hour, distance]))[:, 1]
        for score in scores[:100]:
            self.scores.update(score)
        return pandas.Series(scores)


fraud_score = udf(FraudScore(), [DOUBLE] * 3, DOUBLE, func_type="pandas")


def payments(count: int) -> list[tuple[int, float, float, float]]:
    """Payments, one in fifty of which is odd."""
    chance = random.Random(1)
    rows = []
    for number in range(count):
        odd = number % 50 == 0
        amount = chance.gammavariate(4, 200) if odd else chance.gammavariate(2, 30)
        hour = chance.gauss(3, 2) if odd else chance.gauss(14, 3)
        distance = chance.gammavariate(3, 200) if odd else chance.gammavariate(1, 5)
        rows.append((number, amount, hour, distance))
    return rows


def main() -> None:
    """Scores 10,000 payments and shows how many look odd."""
    environment = Environment(requirements=["scikit-learn==1.7.2"])
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("fraud_score", fraud_score, environment=environment)
        table = fleet.from_elements(payments(10_000), ["id", "amount", "hour", "distance"])
        odd = table.select("id, fraud_score(amount, hour, distance) as score").where("score > 0.5").to_arrow()
        right = sum(number % 50 == 0 for number in odd.column("id").to_pylist())
        print(f"{odd.num_rows} of 10000 payments look odd; {right} of the 200 that are odd are among them")


if __name__ == "__main__":
    main()
