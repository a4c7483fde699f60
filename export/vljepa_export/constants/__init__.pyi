from .bundles import prove_bundle as prove_bundle
