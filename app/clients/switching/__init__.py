"""Coming from another product: its opt-outs, hard bounces and consents, from the files that it exports."""
