"""Parts of the `docker` driver: the Engine's API, images, what a specification is in its words, streams, networks."""
