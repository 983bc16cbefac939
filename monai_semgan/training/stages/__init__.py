"""The stages of training: joint GAN, encoder, student."""
