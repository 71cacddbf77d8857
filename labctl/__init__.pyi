# What __getattr__ of __init__.py gives, for type checkers. A file of its own: an import of the API in
# __init__.py, even for the type checker alone, would make every room depend on all others.
from labctl.api import Comparison as Comparison
from labctl.api import Fault as Fault
from labctl.api import Inconclusive as Inconclusive
from labctl.api import Lab as Lab
from labctl.api import LabctlError as LabctlError
from labctl.api import Node as Node
from labctl.api import NotMet as NotMet
from labctl.api import Result as Result
from labctl.api import Traffic as Traffic
from labctl.api import Verdict as Verdict
from labctl.api import check_machine as check_machine
from labctl.api import load_result as load_result
from labctl.api import open as open  # noqa: A004 - see labctl.api
from labctl.api import run as run
from labctl.api import up as up

__all__ = [
    "Comparison",
    "Fault",
    "Inconclusive",
    "Lab",
    "LabctlError",
    "Node",
    "NotMet",
    "Result",
    "Traffic",
    "Verdict",
    "__version__",
    "check_machine",
    "load_result",
    "open",
    "run",
    "up",
]
__version__: str
