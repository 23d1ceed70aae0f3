"""Training the bundled network: flow matching, consistency distillation, fine-tuning."""
