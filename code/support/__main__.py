"""The Makefile calls this: `python -m support data | dataset | table [FOLDER] | reproduce [FOLDER] | pages`."""

import sys

from support.console import for_any_reader
from support.data import fetch_mnist
from support.pages import write_pages
from support.report import reproduce
from support.report.comparison import draw_comparisons
from support.report.tables import results_table
from support.start import UnavailableError, UserError

NOTICE = """
****************************************************************************
*  MNIST is not here and could not be downloaded.                          *
*  This run uses the EMBEDDED DIGITS instead: drawn by the program, so its *
*  error rates are NOT comparable with the published ones.                 *
****************************************************************************
"""


@for_any_reader
def main(arguments):
    """Do what the Makefile asks for, and return the exit status."""
    try:
        match arguments:
            case ["data"]:
                print(fetch_mnist())
            case ["dataset"]:
                try:
                    fetch_mnist()
                    print("mnist")
                except UnavailableError as error:
                    print(f"{error}\n{NOTICE}", file=sys.stderr)
                    print("digits")
            case ["table", *folder]:
                print(*results_table(*folder), sep="\n")
            case ["reproduce", *folder]:
                page = reproduce(*folder)
                draw_comparisons(*folder)
                print(f"the results are in {page}")
            case ["pages"]:
                print(f"the pages begin with {write_pages()}")
            case _:
                raise UserError(__doc__)
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
