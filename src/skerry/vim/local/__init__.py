"""Parts of the embedded driver: images, bundles, networks, supervision. Used by `skerry.vim.drivers.local` alone."""
