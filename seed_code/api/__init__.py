"""Image 2: the prediction API behind API Gateway, what prepares a release for it, and its guards."""
