"""The result of a driver, which a notebook shows as a line and a picture."""

import base64
import html
import io
from dataclasses import dataclass, field


@dataclass(repr=False)
class Result:
    """The result of a driver.

    Attributes
    ----------
    model : the trained model; with validation the best one, which may not be the last
    curve : list of dict, one an epoch, as in curve.jsonl
    figures : dict of float, what the model reached, as in result.json
    validation_error, test_error : float in 0..1, two of the figures; None without validation
    best_iteration : int, the number of minibatches trained when the model was found; None without validation
    """

    model: object
    curve: list
    figures: dict = field(default_factory=dict)

    validation_error = property(lambda self: self.figures.get("validation_error"))
    test_error = property(lambda self: self.figures.get("test_error"))
    best_iteration = property(lambda self: self.figures.get("iteration"))

    def __repr__(self):
        """One line: the model and its figures; without figures, the last cost."""
        figures = self.figures or {name: line["cost"] for line in self.curve[-1:] for name in ["cost"]}
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in figures.items())
        epochs = "" if "epochs" in figures else f" after {len(self.curve)} epochs"
        return f"{type(self.model).__name__}{epochs}: {shown or 'not trained'}"

    def _repr_html_(self):
        """For a notebook: the line, and the curve as a picture, if matplotlib is there to draw it."""
        picture = self._picture()
        image = picture and f'<br><img src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        return f"{html.escape(repr(self))}{image or ''}"

    def _picture(self):
        """A PNG of the cost by epoch, and below it of the validation and the test error; None without matplotlib."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return None
        panels = [["cost"], ["validation_error", "test_error"]]
        panels = [[name for name in names if any(name in line for line in self.curve)] for names in panels]
        panels = [names for names in panels if names]
        if not panels:
            return None
        figure = Figure((6, 2.5 * len(panels)), layout="constrained")
        for axes, names in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
            for name in names:
                points = [(place, line[name]) for place, line in enumerate(self.curve, 1) if name in line]
                axes.plot(*zip(*points), label=name.replace("_", " "), marker="." if len(points) < 30 else None)
            axes.legend(frameon=False)
        axes.set_xlabel("epoch, counted over all stages")
        figure.savefig(file := io.BytesIO(), format="png")
        return file.getvalue()
