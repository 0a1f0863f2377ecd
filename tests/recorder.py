"""A callback that remembers: it needs no scikit-learn that has callbacks, and is told nothing by one that has none."""


def stop():
    return True


class Recorder:
    """Write down what it is told, and do something at the end of an epoch."""

    def __init__(self, at_epoch=None, do=stop):
        self.at_epoch, self.do = at_epoch, do
        self.told, self.fitted, self.begun = [], [], []

    def setup(self, estimator, context):
        self.told.append("setup")

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator=None):
        self.told.append(("begin", context.task_name, context.task_id))
        self.begun.append(fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.told.append(("end", context.task_name, context.task_id))
        if context.task_name == "epoch":
            self.fitted.append(fitted_estimator)
            return context.task_id + 1 == self.at_epoch and self.do()

    def teardown(self, estimator, context):
        self.told.append("teardown")
