"""Image 2: the prediction API behind API Gateway, what prepares a release, and its guards."""
