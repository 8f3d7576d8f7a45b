from convert.backward.export import export_checkpoint as export_checkpoint
from convert.forward import convert_checkpoint as convert_checkpoint
from convert.inspection import Inspection as Inspection
from convert.inspection import inspect as inspect
from convert.published import known_releases as known_releases
from convert.readers import Checkpoint as Checkpoint
from convert.readers import open_checkpoint as open_checkpoint
from convert.report import Report as Report
