"""What the Linux kernel offers and Python does not: system calls, rtnetlink, network namespaces. Blocking, typed, thin."""
