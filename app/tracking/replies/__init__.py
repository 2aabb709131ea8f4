"""The inbox of replies: what clients wrote by e-mail and SMS, what it is about, who answers it and until when."""
