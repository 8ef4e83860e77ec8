"""Parts of the embedded driver: images, bundles, networks, supervision. Used by the drivers of this host alone."""
