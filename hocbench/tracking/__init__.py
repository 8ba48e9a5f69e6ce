"""MLflow watches runs. It is never the only place of a number, and a store that is slow or gone never holds a run up.

Every event of a run first enters a file, its outbox (`outbox`); a thread beside the training (`sender`) delivers it to
the store (`store`, `mlflow_writer`), and what it could not deliver is delivered later (`sync`).
"""
