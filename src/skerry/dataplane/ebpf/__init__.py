"""eBPF written by Python: an assembler, the kernel's bpf(2), and the programs of the `ebpf` engine. No compiler, no library."""
