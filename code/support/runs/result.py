"""The result of a driver, which a notebook shows as a line and a picture."""

import base64
import html
from dataclasses import dataclass, field


@dataclass(repr=False)
class Result:
    """The result of a driver.

    Attributes
    ----------
    model : the trained model; with validation the best one, which may not be the last
    curve : list of dict, one an epoch, as in curve.jsonl
    figures : dict of float, what the model reached, as in result.json
    picture : bytes, the PNG of the curve that the run has drawn; empty without one
    validation_error, test_error : float in 0..1, two of the figures; None without validation
    best_iteration : int, the number of minibatches trained when the model was found; None without validation
    """

    model: object
    curve: list
    figures: dict = field(default_factory=dict)
    picture: bytes = b""

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
        """For a notebook: the line, and the picture."""
        image = f'<br><img width="600" src="data:image/png;base64,{base64.b64encode(self.picture).decode()}">'
        return html.escape(repr(self)) + (image if self.picture else "")
