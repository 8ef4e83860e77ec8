"""The NFV orchestrator: catalogue, grants, network services."""
