"""The user's plan: cross-validation, and studies of scratch, fine-tuning and transfer."""
