from .bundle_export import export_bundle as export_bundle
from .errors import ExportError as ExportError
from .errors import GraphContractError as GraphContractError
from .errors import ParityError as ParityError
from .export_report import ExportReport as ExportReport
from .export_report import GraphReport as GraphReport
from .formats import FORMATS as FORMATS
