"""The path of one payment: from what a client asks for to what its processor said, and after."""
