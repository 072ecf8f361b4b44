"""When the graph is wrong: how to read a graph, and errors made on purpose, each with the tool that finds it.

Read lesson 1 first. Each chapter here is a function that prints. `python code/debugging.py` runs all of them, and
`python code/debugging.py wrong_shape` runs one. A text in quotes within a function is the output of the lines above it.

    symptom                                       tool                                chapter
    a result is not the formula that was meant    dprint                              a_derivative, a_fused_node
    the shapes of two matrices do not fit         node by node, exception_verbosity   wrong_shape
    a strange cost, or a process that dies        node by node, Assert                wrong_label
    a cost that is NaN                            NanGuardMode                        not_a_number
    a value inside the graph is in doubt          eval, Print                         a_value_in_the_middle
    a cost that does not fall                     dprint of the function              a_forgotten_update
    the same noise in each call                   updates                             a_generator_that_stands_still
    "An update must have the same type ..."       dprint with types, warn_float64     double_precision
    "... was not provided and not given a value"  ids of dprint                       two_variables_of_one_name

A mode says how a graph is rewritten, and what computes it. The lessons' mode makes one piece of machine code of a
whole step. Errors are easier to find where NumPy computes node by node, in nearly the graph that you wrote. No lesson
need be edited for that: write one of these before `python code/mlp.py --quick --fresh`, for example.

    PYTENSOR_FLAGS=linker=py,optimizer=fast_compile,exception_verbosity=medium      node by node
    PYTENSOR_FLAGS=mode=NanGuardMode,optimizer=fast_compile,cxx=                    the same, up to the first NaN

The second one also stops at an infinity, and at a number above 1e10. Both modes are slow.
"""

import argparse
import textwrap
from contextlib import contextmanager

from logistic_sgd import LogisticRegression, minibatch, parameter, sgd_updates
from support import rewrites

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.debug.nanguardmode import NanGuardMode
from pytensor.compile.mode import Mode
from pytensor.printing import Print
from pytensor.raise_op import Assert

NODE_BY_NODE = Mode(linker="py", optimizer="fast_compile")  # few rewrites, computed by NumPy


@contextmanager
def expected_error():
    """Print the error of a block, shortened: its message, and the line of code that made the node."""
    try:
        yield
    except Exception as error:
        message, _, places = str(error).partition("Backtrace")
        left_out = "Toposort", "Inputs types", "Inputs strides", "Inputs values", "Outputs clients"
        lines = [line for line in message.splitlines() if line.strip() and not line.startswith(left_out)]
        lines[0] = f"{type(error).__name__}: {lines[0]}"
        print(*[textwrap.fill(line, 110) for line in lines], sep="\n")
        for line in [line for line in places.splitlines() if line.startswith("    ")][-1:]:
            print(line)


# Part one: a graph, and what pt.grad and pytensor.function do with it


def a_derivative():
    """The function pt.grad builds a second graph.

    A variable is a symbol with a type. An operation, such as the power, makes a node: it has variables as inputs and a
    new variable as output. `dprint` prints a graph from its result to its inputs. Each line is a variable, named after
    the operation that makes it; below it, further to the right, stand the inputs of its node. Ids tell variables apart.
    """
    x = pt.scalar("x")
    y = x**2
    pytensor.dprint(y, print_type=True)
    """
    Pow [id A] <Scalar(float32, shape=())>
     ├─ x [id B] <Scalar(float32, shape=())>
     └─ 2 [id C] <Scalar(int8, shape=())>"""
    # `pt.grad` goes from y to x. Each operation knows its derivative, as a graph. For x^n that is dy n x^(n - 1). Here
    # dy, the derivative of y by itself, is 1: Second(y, 1) is 1 in the shape of y. Three lines are the same 2, id F.
    slope = pt.grad(y, x)
    pytensor.dprint(slope)
    """
    Mul [id A]
     ├─ Mul [id B]
     │  ├─ Second [id C]
     │  │  ├─ Pow [id D]
     │  │  │  ├─ x [id E]
     │  │  │  └─ 2 [id F]
     │  │  └─ 1.0 [id G]
     │  └─ 2 [id F]
     └─ Pow [id H]
        ├─ x [id E]
        └─ Sub [id I]
           ├─ 2 [id F]
           └─ 1 [id J]"""
    # `pytensor.function` rewrites a graph before it compiles it: 1 * 2 * x^(2 - 1) is 2 x. The number at the end of a
    # line is the node's place in the order of computation, from 0. An input and a constant have none.
    pytensor.dprint(pytensor.function([x], slope, mode="NUMBA"))
    """
    Mul [id A] 0
     ├─ 2.0 [id B]
     └─ x [id C]"""


def a_fused_node():
    """How to read a fused node: Composite is several operations in one loop.

    Two loops over a vector would read and write memory twice. One loop does it once. In its formula i0 is the node's
    first input, i1 its second. A long formula is shortened to Composite{...} in the name. Each formula is also printed
    as a graph, under "Inner graphs". An arrow marks an output.
    """
    x = pt.vector("x")
    pytensor.dprint(pytensor.function([x], x * pt.exp(x), mode="NUMBA"))
    """
    Composite{(i0 * exp(i0))} [id A] 0
     └─ x [id B]
    Inner graphs:
    Composite{(i0 * exp(i0))} [id A]
     ← mul [id C]
        ├─ i0 [id D]
        └─ exp [id E]
           └─ i0 [id D]"""


def the_step_of_lesson_1():
    """The graph of lesson 1's step.

    Dot is the product of matrices. ExpandDims makes the vector b a row, so that Add can add it to each row.
    """
    x, y = pt.matrix("x"), pt.ivector("y")  # (batch, 784), (batch,)
    classifier = LogisticRegression(x, n_in=784, n_out=10)
    pytensor.dprint(classifier.p_y_given_x)
    """
    Softmax{axis=(1,)} [id A] 'p_y_given_x'
     └─ Add [id B]
        ├─ Dot [id C]
        │  ├─ x [id D]
        │  └─ W [id E]
        └─ ExpandDims{axis=0} [id F]
           └─ b [id G]"""
    # AdvancedSubtensor picks an entry from each row of log P: those at rows 0, 1, 2, ... (ARange) and columns y. The
    # mean is their sum, divided by their number: Subtensor is an index, and takes entry 0 of the Shape. The sum of
    # float32 is made in float64 (acc), and is float32 again. `depth` leaves out lines further to the right.
    cost = classifier.negative_log_likelihood(y)
    pytensor.dprint(cost, depth=5)
    """
    Neg [id A]
     └─ True_div [id B] 'mean'
        ├─ Sum{axes=None, acc=float64} [id C]
        │  └─ AdvancedSubtensor{idx_list=(0, 1)} [id D]
        │     ├─ Log [id E]
        │     ├─ ARange{dtype='int64'} [id F]
        │     └─ y [id G]
        └─ Subtensor{i} [id H]
           ├─ Cast{float32} [id I]
           │  └─ Shape [id J]
           └─ 0 [id K]"""
    # A compiled function has a graph for each output, and then one for each update: here the new W and the new b. The
    # first is W - 0.13 x'D, where D is the derivative of the cost by x W + b, (600, 10). FusedElemwise is one loop for
    # D, its output .0, and for the sum of D over axis 0, its output .1, which is dcost/db. ··· stands for inputs that
    # were printed above.
    index, train_x = pt.lscalar("index"), parameter(np.zeros((1200, 784)), "train_x")
    train_y = pytensor.shared(np.zeros(1200, "int32"), "train_y")
    givens = {x: minibatch(train_x, index, 600), y: minibatch(train_y, index, 600)}
    updates = sgd_updates(cost, classifier.params, learning_rate=0.13)
    step = pytensor.function([index], cost, updates=updates, givens=givens, mode="NUMBA")
    pytensor.dprint(step.maker.fgraph.outputs[1:], depth=3, print_inner_graphs=False)
    """
    Composite{(i0 - (0.13 * i1))} [id A]
     ├─ W [id B]
     └─ Dot [id C]
        ├─ MatrixTranspose [id D]
        └─ FusedElemwise{Composite{...}, reduce[add@(0,)]}.0 [id E]
    Composite{(i0 - (0.13 * i1))} [id F]
     ├─ b [id G]
     └─ FusedElemwise{Composite{...}, reduce[add@(0,)]}.1 [id E] '(dcost/db)'
        └─ ···"""
    # In the lessons' mode the new W is one node: a loop that adds the product to W, in W's own memory.
    step = pytensor.function([index], cost, updates=updates, givens=givens, mode=rewrites.mode())
    pytensor.dprint(step.maker.fgraph.outputs[1], depth=1, print_inner_graphs=False)
    """RankUpdate{inplace=True} [id A]"""


def updates_use_old_values():
    """Shared variables and updates: all new values are computed from the old ones.

    A shared variable keeps its value from call to call. A call first computes the outputs and all updates, from the
    values before the call. Then it sets them. So a swap needs no third variable, the order of updates has no effect,
    and the cost that a step of training returns is the cost before that step.
    """
    a, b = pytensor.shared(1, "a"), pytensor.shared(2, "b")
    swap = pytensor.function([], 10 * a + b, updates={a: b, b: a}, mode=NODE_BY_NODE)
    print("returned", swap(), "and now a is", a.get_value(), "and b is", b.get_value())
    """returned 12 and now a is 2 and b is 1"""


def data_are_shared():
    """Givens, and why data are not passed as arguments.

    `givens` put one variable in the place of another: here a slice of the data in the place of x. So a model is written
    for any x, wherever its images come from. The data themselves are a shared variable. They are cast and checked once,
    and the compiler knows their sizes. An argument is checked in each call. float64, NumPy's default, is refused.
    """
    x = pt.vector("x")  # (batch,)
    index, data = pt.lscalar("index"), parameter([1, 2, 3, 4], "data")
    total = pytensor.function([index], pt.sum(x), givens={x: minibatch(data, index, 2)}, mode=NODE_BY_NODE)
    print(total(0), total(1))
    """3.0 7.0"""
    with expected_error():
        pytensor.function([x], pt.sum(x), mode=NODE_BY_NODE)(np.array([0.1, 0.2]))
    """
    TypeError: Vector(float32, shape=(?,)) cannot store a value of dtype float64 without risking loss of
    precision. If you do not mind this loss, you can: 1) explicitly cast your data to float32, or 2) set
    "allow_input_downcast=True" when calling "function". Value: "array([0.1, 0.2])"
    """


def memory_is_borrowed():
    """Borrow: two names for one memory, to save a copy.

    A shared variable copies the array that it begins with, and `get_value` returns a copy. With `borrow` both use the
    same memory. This is faster for large arrays. It is safe only if you do not change the array, and read it before the
    next call. That call may overwrite it; whether it does depends on the mode. To keep the best model, copy it.
    """
    array = np.float32([0, 0])
    copied, borrowed = pytensor.shared(array), pytensor.shared(array, borrow=True)
    array[0] = 9
    print("copied", copied.get_value(), "borrowed", borrowed.get_value())
    """copied [0. 0.] borrowed [9. 0.]"""
    kept, view = copied.get_value(), copied.get_value(borrow=True)
    pytensor.function([], [], updates={copied: copied + 1}, mode=Mode(linker="py", optimizer="fast_run"))()
    print("kept", kept, "view", view)
    """kept [0. 0.] view [1. 1.]"""


# Part two: errors made on purpose, and what finds them


def wrong_shape():
    """Two matrices do not fit.

    If their types have sizes, as each `parameter` of the lessons has, the line that multiplies them fails.
    """
    x = pt.matrix("x")  # (batch, 3)
    V, W = parameter(np.zeros((3, 5)), "V"), parameter(np.zeros((4, 2)), "W")  # W should be (5, 2)
    with expected_error():
        pt.dot(pt.dot(x, V), W)
    """ValueError: Incompatible shared dimension for dot product: (None, 5), (4, 2)"""
    # If they have none, the call fails, and says less. PyTensor cannot see inside machine code which node failed.
    # It names the last one, here Exp, which is innocent, and the shapes of the function's inputs, not of the node's.
    V, W = pytensor.shared(V.get_value(), "V"), pytensor.shared(W.get_value(), "W")
    h = pt.dot(x, V)  # (batch, 5)
    h.name = "h"
    product = pt.dot(h, W)
    output = pt.exp(product)
    images = np.ones((2, 3), "float32")
    with pytensor.config.change_flags(exception_verbosity="medium"):
        with expected_error():
            pytensor.function([x], output, mode="NUMBA")(images)
        """
        ValueError: gemm: operands have mismatched contraction dimensions
        Apply node that caused the error: Exp(Dot.0)
        Inputs shapes: [(2, 3), (3, 5), (4, 2)]
            output = pt.exp(product)"""
        # Node by node it names the right node, its shapes, and its line. (Dot22 is Dot of two matrices of one type.)
        with expected_error():
            pytensor.function([x], output, mode=NODE_BY_NODE)(images)
        """
        ValueError: shapes (2,5) and (4,2) not aligned: 5 (dim 1) != 4 (dim 0)
        Apply node that caused the error: Dot22(h, W)
        Inputs shapes: [(2, 5), (4, 2)]
            product = pt.dot(h, W)"""


def wrong_label():
    """A label that is no class: three classes, with the labels 1, 2, 3 instead of 0, 1, 2.

    Machine code does not check a vector of indices. It reads what lies beside the row: here the next row, after the
    last row anything. A step of training writes to such places, too. The process may die, or the cost may be strange.
    """
    scores, y = pt.matrix("scores"), pt.lvector("y")  # (batch, 3), (batch,)
    values = np.float32([[0, 1, 2], [3, 4, 5]])
    picked = scores[pt.arange(y.shape[0]), y]  # (batch,)
    print(pytensor.function([scores, y], picked, mode="NUMBA")(values, [3, 2]))
    """[3. 5.]"""
    # NumPy checks. But the label -1 counts from the end, in NumPy too: it is the last class.
    checked = pytensor.function([scores, y], picked, mode=NODE_BY_NODE)
    print(checked(values, [-1, 2]))
    """[2. 5.]"""
    with expected_error():
        checked(values, [3, 2])
    """IndexError: index 3 is out of bounds for axis 1 with size 3"""
    # An assertion in the graph finds both, in each mode: Assert(message)(y, condition) is y, if the condition is true.
    label = Assert("labels must be 0, 1 or 2")(y, pt.all((y >= 0) & (y < 3)))
    with expected_error():
        pytensor.function([scores, y], scores[pt.arange(y.shape[0]), label], mode=NODE_BY_NODE)(values, [-1, 2])
    """AssertionError: labels must be 0, 1 or 2"""


def not_a_number():
    """A cost that is NaN.

    log 0 is -infinity, and 0 times infinity is not a number. NanGuardMode stops at the first node with either of them:
    here at the logarithm, where the error began, and not at the product.
    """
    p = pt.vector("p")  # (n,)
    entropy = -p * pt.log(p)
    print(pytensor.function([p], entropy, mode=NODE_BY_NODE)(np.float32([0])))
    """[nan]"""
    guard = NanGuardMode(nan_is_error=True, inf_is_error=True, big_is_error=False, optimizer="fast_compile")
    with expected_error():
        pytensor.function([p], entropy, mode=guard)(np.float32([0]))
    """
    AssertionError: Inf detected
    NanGuardMode found an error in the output of a node in this variable:
    Log [id A]
     └─ p [id B]
        entropy = -p * pt.log(p)"""
    # A NaN may depend on the mode. The lessons' mode makes -softplus(a) of log(1 - sigmoid(a)), which stays finite. If
    # all rewrites are left out, sigmoid(20) is 1 in float32, and the logarithm is infinite.


def a_value_in_the_middle():
    """A value in the middle of a graph.

    `eval` compiles and calls at once. It takes the values of any variables, not only of inputs: below x, and then y.
    """
    x = pt.vector("x")
    y = 2 * x
    z = y + 1
    print(y.eval({x: np.float32([1, 2])}, mode=NODE_BY_NODE), z.eval({y: np.float32([0, 9])}, mode=NODE_BY_NODE))
    """[2. 4.] [ 1. 10.]"""
    # Print("y")(y) is y, and prints it in each call. The graph has to go through it: a function of y alone prints
    # nothing. Print("y", attrs=["shape", "min", "max"]) suits a large array.
    pytensor.function([x], Print("y")(y) + 1, mode=NODE_BY_NODE)(np.float32([1, 2]))
    """y __str__ = [2. 4.]"""


def a_forgotten_update():
    """A cost that does not fall: the updates were made, but not passed.

    Such a function is valid: it computes the cost. `dprint` shows the fault. Without updates the function has one
    result, the cost; with them it has another, the new w. `w.get_value()` before and after a call shows it, too.
    """
    w = parameter(1, "w")
    cost = w**2
    updates = sgd_updates(cost, [w], learning_rate=0.25)
    for passed in {}, updates:
        train = pytensor.function([], cost, updates=passed, mode=NODE_BY_NODE)
        print([float(train()) for _ in range(3)])
        pytensor.dprint(train, depth=1)
    """
    [1.0, 1.0, 1.0]
    Pow [id A] 'cost' 0
    [1.0, 0.25, 0.0625]
    Pow [id A] 'cost' 2
    Sub [id B] 1"""


def a_generator_that_stands_still():
    """The same noise in each call.

    A draw takes the state of a generator, and gives the next state and the numbers. The state is a shared variable. If
    no update sets it, the next call begins with the same state.
    """
    rng = pt.random.shared_rng(seed=123)
    next_rng, noise = rng.integers(0, 10, size=(5,))
    for passed in {}, {rng: next_rng}:
        draw = pytensor.function([], noise, updates=passed, mode=NODE_BY_NODE)
        print(draw(), draw())
    """
    [0 6 5 0 9] [0 6 5 0 9]
    [0 6 5 0 9] [2 2 1 3 1]"""
    # A second draw in one graph takes `next_rng`. If it took `rng`, it would draw the same, and PyTensor warns of it.


def double_precision():
    """Float64 that creeps in.

    A float32 with a float64, int32 or int64 gives a float64. Python's numbers are harmless: 0.1 * x has the type of x.
    NumPy's are not: np.sqrt(2) * x is float64. So is a product with a drawn mask, which is int64. Often an update is
    the first to complain, far from the cause. `dprint` with types shows the cause.
    """
    w, x = parameter([1, 2], "w"), pt.vector("x")
    rate = pytensor.shared(0.1, "rate")
    with expected_error():
        pytensor.function([x], [], updates={w: w - rate * x})
    pytensor.dprint(rate * x, print_type=True)
    """
    TypeError: An update must have the same type as the original shared variable (shared_var=w,
    shared_var.type=Vector(float32, shape=(2,)), update_val=Sub.0, update_val.type=Vector(float64, shape=(2,))).
    Mul [id A] <Vector(float64, shape=(?,))>
     ├─ ExpandDims{axis=0} [id B] <Vector(float64, shape=(1,))>
     │  └─ rate [id C] <Scalar(float64, shape=())>
     └─ x [id D] <Vector(float32, shape=(?,))>"""
    # With warn_float64=raise, a line that makes a float64 variable fails. Some are harmless, as a mean of integers.
    # A cast helps: mask.astype(x.dtype), or np.float32(0.1) for the rate.
    mask = pt.lvector("mask")
    with pytensor.config.change_flags(warn_float64="raise"), expected_error():
        mask * x
    """
    Exception: You are creating a TensorVariable with float64 dtype. You requested an action via the PyTensor flag
    warn_float64={ignore,warn,raise,pdb}."""


def two_variables_of_one_name():
    """Two variables of one name.

    A name is for the reader. PyTensor tells variables apart by their identity. A cell of a notebook that runs twice
    makes a second x: the graph holds the old one, and `function` gets the new one. So the message says that x is
    missing, although an x was given. In `dprint` the ids differ.
    """
    old, new = pt.vector("x"), pt.vector("x")
    total = old + new
    pytensor.dprint(total)
    with expected_error():
        pytensor.function([new], total, mode=NODE_BY_NODE)
    """
    Add [id A]
     ├─ x [id B]
     └─ x [id C]
    MissingInputError: Input 0 (x) of the graph (indices start from 0), used to compute Add(x, x), was not
    provided and not given a value. Use the PyTensor flag exception_verbosity='high', for more information on this
    error.
        old, new = pt.vector("x"), pt.vector("x")"""


CHAPTERS = (
    a_derivative, a_fused_node, the_step_of_lesson_1, updates_use_old_values, data_are_shared, memory_is_borrowed,
    wrong_shape, wrong_label, not_a_number, a_value_in_the_middle, a_forgotten_update, a_generator_that_stands_still,
    double_precision, two_variables_of_one_name,
)  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", nargs="?", metavar="chapter", choices=[chapter.__name__ for chapter in CHAPTERS])
    only = parser.parse_args().chapter
    for chapter in CHAPTERS:
        if only in (None, chapter.__name__):
            print(f"\n{chapter.__name__}: {chapter.__doc__.splitlines()[0]}")
            with pytensor.config.change_flags(floatX="float32", cxx=""):  # no C compiler: it takes a second a node
                chapter()
