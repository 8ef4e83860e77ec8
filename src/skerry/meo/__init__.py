"""The orchestrator of edge applications with its platform managers: packages, life-cycle, placement.

Towards the NFVO an application is a network service of one VNF (reference point Mv1); towards its platform it is what its
descriptor asks for (Mm3*, Mm5). Both are parts of one resource graph, which the engine brings about.
"""
