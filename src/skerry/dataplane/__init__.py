"""The data plane: what traffic shall do (intents), what devices do for it (flows), proof that both agree."""
