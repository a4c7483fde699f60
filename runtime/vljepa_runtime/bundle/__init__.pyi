from .reader import Bundle as Bundle
from .reader import shipped_bundles as shipped_bundles
from .reader import write_bundle as write_bundle
