"""A run that trains nothing. It writes the graphs of the lesson's functions instead."""

from contextlib import ExitStack, nullcontext

from support import graphs, rewrites
from support.console import say
from support.errors import UserError
from support.runs.run import Result


class GraphRun:
    """A lesson uses it like a `Run`. It writes graphs to the folder graphs/ inside the run's, and no other file.

    The parameters are those of `Run`; the folder is not open.
    """

    curve = ()

    def __init__(self, folder, settings, datasets):
        self.lesson, self.folder = folder.about["lesson"], folder.path / "graphs"
        self.settings, self.datasets = settings, datasets
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder} ({error.strerror}): choose another --output-folder"
            ) from error
        self.context = ExitStack()

    def __enter__(self):
        self.context.enter_context(graphs.shown())
        return self

    def __exit__(self, *exception):
        self.context.close()

    def track(self, model, *functions, name="model"):
        """Do nothing: there is no run to go on with."""

    def show_graph(self, name, function, **arguments):
        """Write the graphs of one step of training, as text and as a page.

        Parameters
        ----------
        name : str
            The name of the files: what the function trains.
        function : compiled function
            Its first argument is the index of the minibatch.
        arguments
            The values that its other arguments have in training.
        """
        title = f"{self.lesson}: {name.replace('_', ' ')}"
        chosen = "all" if rewrites.selected() == rewrites.NAMES else " ".join(rewrites.selected()) or "none"
        settings = {**self.settings, "dataset": self.datasets.name, "rewrites": chosen}
        say(graphs.write(self.folder / name, title, settings, function, {"index": 0, **arguments}))

    def timed(self, phase, rate, title=None):
        return nullcontext()

    def epochs(self, *arguments, **named):
        return ()

    def keep_pretrained(self, params):
        pass

    def finish(self, model=None, closing=None, evaluate=None):
        return Result(model, [])

    def save_picture(self, name, pixels):
        pass

    def draw(self, plot):
        pass
