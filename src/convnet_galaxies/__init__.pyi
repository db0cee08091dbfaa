# What type checkers see of the names that __init__.py loads when they are first used.
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo as read_galaxy_zoo
from convnet_galaxies.data.pack import read_pack as read_pack
from convnet_galaxies.data.records import ImageSet as ImageSet
from convnet_galaxies.data.records import Records as Records
from convnet_galaxies.data.space_warps import read_space_warps as read_space_warps
from convnet_galaxies.data.tables import read_table as read_table
from convnet_galaxies.errors import InputError as InputError
from convnet_galaxies.library.images import apply_grades as apply_grades
from convnet_galaxies.library.images import pack as pack
from convnet_galaxies.library.images import read_images as read_images
from convnet_galaxies.library.images import show_images as show_images
from convnet_galaxies.library.run import Run as Run
from convnet_galaxies.library.run import load as load
from convnet_galaxies.library.run import report as report
from convnet_galaxies.library.scanning import open_scan as open_scan
from convnet_galaxies.library.scanning import scan_survey as scan_survey
from convnet_galaxies.library.training import ensemble as ensemble
from convnet_galaxies.library.training import train as train
from convnet_galaxies.library.unknown import estimate_lenses as estimate_lenses
from convnet_galaxies.library.warn import InputWarning as InputWarning
from convnet_galaxies.library.zooniverse import read_zooniverse as read_zooniverse
from convnet_galaxies.settings import Settings as Settings
from convnet_galaxies.settings import load_settings as load_settings
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo as simulate_galaxy_zoo
from convnet_galaxies.simulate.space_warps import simulate_space_warps as simulate_space_warps

__version__: str
__all__: list[str]
