"""VIM drivers, each independent of the others; `skerry.vim.catalogue` finds them by listing this folder."""
