"""Errors that a user can act on.

Every message says what is wrong, where (file, row, key) and what to do next. The command line prints the
message without a traceback and exits with code 2.
"""


class HocbenchError(Exception):
    """Base class of every mistake that the user, not the program, has to fix."""


class ParameterError(HocbenchError):
    """A key or a value of the parameters is wrong."""


class DatasetError(HocbenchError):
    """A dataset folder is missing, incomplete or not laid out as distributed."""


class FetchError(HocbenchError):
    """A file cannot be downloaded or unpacked, or is not the one that was expected."""


class SplitError(HocbenchError):
    """A split is impossible or would leak a subject from one part into another."""


class FaceError(HocbenchError):
    """Face crops cannot be made, or the crop store cannot be read."""


class RunError(HocbenchError):
    """A run directory is missing, incomplete or does not fit what is asked of it."""


class DamageError(HocbenchError):
    """A file is not as this program wrote it; it can be made again."""


class NetworkError(HocbenchError, ValueError):
    """A network or layer was asked for something that it does not offer."""


class ExportError(HocbenchError):
    """A network cannot be exported as asked, or its exported form does not compute the same."""


class EvaluationError(HocbenchError):
    """Scores cannot be computed from the tables that are there."""


class VerifyError(HocbenchError):
    """A reproduction cannot be compared with the reference: unfinished, of other parameters, or damaged."""


class ReportError(HocbenchError):
    """There is nothing at all to report on."""


class BenchmarkError(HocbenchError):
    """The speed benchmark was asked for what this machine lacks, or its candidates do not compute the same."""


class StoppedEarly(Exception):  # noqa: N818 - it is none
    """Not a mistake: the process was asked to stop and has saved what it reached; started again, it goes on.

    Attributes
    ----------
    exit_code : int
        What the command line then exits with, EX_TEMPFAIL of sysexits.h.
    """

    exit_code = 75


class TrackingError(HocbenchError):
    """The MLflow store cannot be shown."""
