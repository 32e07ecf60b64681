"""Proposals: the RPN's boxes, thinned out step by step."""
